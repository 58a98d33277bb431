"""The decision table: which sources a backend sees, by delivery, client address, externalTrafficPolicy and position.

Read it from the top: the first row that fits decides.

Sources of the facts:
https://kubernetes.io/docs/tutorials/services/source-ip/
https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource (ipBlock and SNAT)
https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/#client-source-ip-preservation
"""

from exposure.model.exposures import DecisionRow, Destination, Position, SourceKind

SOURCE_IP = "https://kubernetes.io/docs/tutorials/services/source-ip/"
IP_BLOCK = "https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors"
CILIUM_SOURCE_IP = "https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/#client-source-ip-preservation"
INGRESS = "https://kubernetes.io/docs/concepts/services-networking/ingress/"

CLIENTS, LOAD_BALANCER, HEALTH_CHECKS = SourceKind.CLIENTS, SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS
NODES, OUTSIDE = SourceKind.NODES, SourceKind.OUTSIDE

# fmt: off
ROWS: tuple[DecisionRow, ...] = (
    DecisionRow("pod-preserved",               "pod",  True,  None,      None,                   (CLIENTS, HEALTH_CHECKS),
        "the load balancer sends to pods and keeps the client's address", IP_BLOCK),
    DecisionRow("pod-proxied",                 "pod",  False, None,      None,                   (LOAD_BALANCER, HEALTH_CHECKS),
        "the load balancer sends to pods from its own addresses", IP_BLOCK),
    DecisionRow("node-local-preserved",        "node", True,  "Local",   None,                   (CLIENTS, HEALTH_CHECKS),
        "with externalTrafficPolicy Local a node forwards to its own pods and keeps the client's address", SOURCE_IP),
    DecisionRow("node-local-proxied",          "node", False, "Local",   None,                   (LOAD_BALANCER, HEALTH_CHECKS),
        "with externalTrafficPolicy Local a node keeps the address it sees: the load balancer's", SOURCE_IP),
    DecisionRow("node-cluster-post",           "node", None,  "Cluster", ("post",),              (NODES,),
        "with externalTrafficPolicy Cluster nodes SNAT, and this CNI filters after SNAT", SOURCE_IP),
    DecisionRow("node-cluster-pre-preserved",  "node", True,  "Cluster", ("pre", "unknown"),     (NODES, CLIENTS, HEALTH_CHECKS),
        "before SNAT the CNI sees the client for a pod on the same node, and a node's address for a pod on another", SOURCE_IP),
    DecisionRow("node-cluster-pre-proxied",    "node", False, "Cluster", ("pre", "unknown"),     (NODES, LOAD_BALANCER, HEALTH_CHECKS),
        "before SNAT the CNI sees the load balancer for a pod on the same node, and a node's address for a pod on another", SOURCE_IP),
    DecisionRow("node-cluster-kept-preserved", "node", True,  "Cluster", ("preserving", "identity-dsr"), (CLIENTS, HEALTH_CHECKS),
        "this data plane forwards between nodes without SNAT", CILIUM_SOURCE_IP),
    DecisionRow("node-cluster-kept-proxied",   "node", False, "Cluster", ("preserving", "identity-dsr"), (LOAD_BALANCER, HEALTH_CHECKS),
        "this data plane forwards between nodes without SNAT and keeps the load balancer's address", CILIUM_SOURCE_IP),
    DecisionRow("node-cluster-identity",       "node", None,  "Cluster", ("identity-snat",),     (OUTSIDE,),
        "Cilium matches identities: only an ipBlock of a whole address family matches traffic that another node SNATed", CILIUM_SOURCE_IP),
)
#: Rows for sources that are admitted outside the table.
PODS_PROXY = DecisionRow("pods-proxy", None, None, None, None, (SourceKind.PROXY_PODS,), "the proxy's pods call", INGRESS)
NODES_PROXY = DecisionRow("nodes-proxy", None, None, None, None, (NODES,), "the proxy uses its node's network", INGRESS)
PEERS = DecisionRow("peers", None, None, None, None, (SourceKind.PEERS,), "the policy names these callers", IP_BLOCK)
UNGOVERNED = DecisionRow("ungoverned", None, None, None, None, (CLIENTS,), "no policy governs the entry point", IP_BLOCK)
# fmt: on


def decide(delivery: Destination, preserved: bool, traffic_policy: str, position: Position) -> DecisionRow:
    """The row that fits. An unknown externalTrafficPolicy is treated as Cluster, which admits Nodes."""
    known = traffic_policy if traffic_policy == "Local" else "Cluster"
    return next(row for row in ROWS if row.fits(delivery, preserved, known, position))
