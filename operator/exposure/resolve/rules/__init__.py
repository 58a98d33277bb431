"""The rules that decide who may reach the pods of one governed Service, in the order in which they run.

A rule reads the `Case` (a Service, its effective policy, and what each entry point delivers) and what earlier rules
decided. It adds sources and blind spots, or refuses. Only the last rule changes sources that others have added. No rule
calls another one.

What is worked out before the rules run: the client ranges within the limits (`clients.client_ranges`), the ports within
the limits (`ports.exposed_ports`), and the row of the decision table that fits each delivery (`delivery`).
"""

from exposure.resolve.delivery import Case
from exposure.resolve.rules.access import Access, Rule
from exposure.resolve.rules.admitting import (
    admit_clients,
    admit_everyone_outside,
    admit_health_checks,
    admit_host_network_proxies,
    admit_load_balancer,
    admit_nodes,
    admit_peers,
    admit_proxy_pods,
    admit_service_lb_pods,
    allow_egress,
)
from exposure.resolve.rules.excluding import exclude_pod_ranges
from exposure.resolve.rules.refusing import (
    refuse_disjoint_client_ranges,
    refuse_external_name,
    refuse_host_network_pods,
    refuse_public_entry_points,
    refuse_unaccepted_policy,
    refuse_without_selector,
)
from exposure.resolve.rules.reporting import (
    report_dropped_cross_node_traffic,
    report_lost_client_addresses,
    report_source_range_problems,
    report_unenforced_ranges,
    report_unfiltered_cluster_traffic,
    report_unresolved_ports,
)

#: Every rule, in the order in which they run. A rule that refuses the whole Service ends the list.
RULES: tuple[Rule, ...] = (
    # First: is there anything that a NetworkPolicy could open?
    refuse_external_name,  # a DNS alias: no pods stand behind it
    refuse_without_selector,  # an empty podSelector would open the namespace
    refuse_host_network_pods,  # no NetworkPolicy selects pods that use hostNetwork
    # Then: what the policy and its limits leave, before anything is admitted.
    allow_egress,  # what the pods may call; before the next rule, which closes it and ends the list
    refuse_unaccepted_policy,  # a policy that never was accepted governs, and grants nothing
    report_unresolved_ports,  # a named target port that this CNI does not resolve
    report_source_range_problems,  # annotations that no controller reads, families that the ranges leave out
    refuse_public_entry_points,  # limits.allowPublic: false
    refuse_disjoint_client_ranges,  # what the policy, its limits and the Service ask for has nothing in common
    # Then: what arrives, by the row of the decision table (delivery × client address × externalTrafficPolicy × CNI).
    admit_clients,  # the client's address is kept
    admit_load_balancer,  # the load balancer puts its own address in place
    admit_health_checks,  # its probes, where they reach the pod's port
    admit_nodes,  # externalTrafficPolicy Cluster: nodes SNAT
    admit_everyone_outside,  # Cilium: no ipBlock but a whole family matches SNATed traffic
    admit_service_lb_pods,  # k3s: the pods of ServiceLB masquerade
    admit_proxy_pods,  # behind an Ingress or a Gateway, the proxy's pods call
    admit_host_network_proxies,  # a proxy on hostNetwork calls with its node's address
    admit_peers,  # callers in the cluster that the policy names
    # Then: what of it no NetworkPolicy can hold.
    report_lost_client_addresses,  # nodes are admitted, so anyone who reaches a NodePort is admitted too
    report_dropped_cross_node_traffic,  # node addresses are needed, and withheld or not known
    report_unenforced_ranges,  # ranges that neither the load balancer, nor kube-proxy, nor the policy holds
    report_unfiltered_cluster_traffic,  # a CNI that does not filter this traffic
    # Last: what is written must not admit pods that nothing names.
    exclude_pod_ranges,  # an ipBlock that holds pod ranges would admit every pod
)


def decide_access(case: Case) -> Access:
    """Runs the rules until one of them refuses the whole Service."""
    access = Access()
    for rule in RULES:
        rule(case, access)
        if access.refused:
            break
    return access
