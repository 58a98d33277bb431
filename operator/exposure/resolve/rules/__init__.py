"""The rules that decide who may reach the pods of one governed Service, in the order in which they run.

A rule reads the `Case` (a Service, its effective policy, and what each entry point delivers) and what earlier rules
decided. It adds sources and blind spots, or refuses. Only the last rule changes sources that others have added. No rule
calls another one.

What is worked out before the rules run: the client ranges within the limits (`clients.client_ranges`), the ports within
the limits (`ports.exposed_ports`), and the row of the decision table that fits each delivery (`delivery`).
"""

from exposure.resolve.delivery import Case
from exposure.resolve.rules import admitting, excluding, refusing, reporting
from exposure.resolve.rules.access import Access, DecisionRule

#: Every rule, in the order in which they run. A rule that refuses the whole Service ends the list.
RULES: tuple[DecisionRule, ...] = (
    # First: is there anything that a NetworkPolicy could open?
    refusing.refuse_external_name,  # a DNS alias, which has no pods
    refusing.refuse_without_selector,  # an empty podSelector would open the namespace
    refusing.refuse_host_network_pods,  # no NetworkPolicy selects pods that use hostNetwork
    # Then: what the policy and its limits leave, before anything is admitted.
    admitting.allow_egress,  # what the pods may call; before the next rule, which closes it and ends the list
    refusing.refuse_unaccepted_policy,  # a policy that was never accepted governs, and opens nothing
    reporting.report_unresolved_ports,  # a named target port that this CNI does not resolve
    reporting.report_source_range_problems,  # annotations that no controller reads, ranges that omit a family
    refusing.refuse_public_entry_points,  # limits.allowPublic: false
    refusing.refuse_disjoint_client_ranges,  # the policy, its limits and the Service have none in common
    # Then: what arrives, by the row of the decision table (delivery × client address × externalTrafficPolicy × CNI).
    admitting.admit_clients,  # the client's address is kept
    admitting.admit_load_balancer,  # the load balancer replaces the client's address with its own
    admitting.admit_health_checks,  # the load balancer's probes that reach the pod
    admitting.admit_nodes,  # externalTrafficPolicy Cluster: nodes SNAT
    admitting.admit_everyone_outside,  # Cilium: only an ipBlock of a whole family matches SNATed traffic
    admitting.admit_service_lb_pods,  # k3s: the pods of ServiceLB masquerade
    admitting.admit_proxy_pods,  # behind an Ingress or a Gateway, the proxy's pods call
    admitting.admit_host_network_proxies,  # a proxy on hostNetwork calls with its node's address
    admitting.admit_peers,  # callers in the cluster that the policy names
    # Then: what of this no NetworkPolicy can enforce.
    reporting.report_lost_client_addresses,  # nodes are admitted, and so is every client of a node port
    reporting.report_dropped_cross_node_traffic,  # node addresses are needed, and withheld or not known
    reporting.report_unenforced_ranges,  # ranges that the load balancer, kube-proxy and the policy do not enforce
    reporting.report_unfiltered_cluster_traffic,  # a CNI that does not filter this traffic
    # Last: address ranges must not admit pods.
    excluding.exclude_pod_ranges,  # an ipBlock that contains pod ranges would admit every pod
)


def decide_access(case: Case) -> Access:
    """Runs the rules until one of them refuses the whole Service."""
    access = Access()
    for rule in RULES:
        rule(case, access)
        if access.refusal:
            break
    return access
