"""The rules that decide who may reach the pods of one governed Service, in the order in which they run.

A rule reads the `Case` (a Service, its effective policy, and what each entry point delivers) and what the rules before
it decided, and adds sources and blind spots. No rule calls another one.

Client ranges and ports are narrowed to the limits of ClusterExposurePolicies before, in `clients` and `ports`.
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

#: Every rule that adds a source or reports a blind spot, in the order in which they run.
RULES: tuple[Rule, ...] = (
    # First: is there anything that a NetworkPolicy could open?
    refuse_external_name,  # a DNS alias, which has no pods
    refuse_without_selector,  # an empty podSelector would open the namespace
    refuse_host_network_pods,  # no NetworkPolicy selects pods that use hostNetwork
    allow_egress,  # what the pods may call, whatever the later rules decide
    refuse_unaccepted_policy,  # a policy that was never accepted governs, and opens nothing
    report_unresolved_ports,  # a named target port that this CNI does not resolve
    report_source_range_problems,  # annotations that no controller reads, ranges that omit a family
    refuse_public_entry_points,  # limits.allowPublic: false
    refuse_disjoint_client_ranges,  # the policy, its limits and the Service have no client in common
    # Then: what arrives, by the row of the decision table (delivery × client address × externalTrafficPolicy × CNI).
    admit_clients,  # the client's address is kept
    admit_load_balancer,  # the load balancer replaces the client's address with its own
    admit_health_checks,  # the load balancer's probes that reach the pod
    admit_nodes,  # externalTrafficPolicy Cluster: nodes SNAT
    admit_everyone_outside,  # Cilium: only an ipBlock of a whole family matches SNATed traffic
    admit_service_lb_pods,  # k3s: the pods of ServiceLB masquerade
    admit_proxy_pods,  # behind an Ingress or a Gateway, the proxy's pods call
    admit_host_network_proxies,  # a proxy on hostNetwork calls with its node's address
    admit_peers,  # callers in the cluster that the policy names
    # Then: what of this no NetworkPolicy can enforce.
    report_lost_client_addresses,  # nodes are admitted, and so is every client of a node port
    report_dropped_cross_node_traffic,  # node addresses are needed, and withheld or not known
    report_unenforced_ranges,  # ranges that the load balancer, kube-proxy and the policy do not enforce
    report_unfiltered_cluster_traffic,  # a CNI that does not filter this traffic
    # Last: address ranges must not admit pods.
    exclude_pod_ranges,  # an ipBlock that contains pod ranges would admit every pod
)


def decide_access(case: Case) -> Access:
    """Runs the rules until one of them refuses the whole Service."""
    access = Access()
    for rule in RULES:
        rule(case, access)
        if access.refused:
            break
    return access
