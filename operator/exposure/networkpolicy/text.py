"""A NetworkPolicy in words: `from 203.0.113.0/24 to app=web tcp/8443`."""

from exposure.networkpolicy.values import NetworkPolicy, Peer, PolicyPort

SHOWN_PEERS = 4


def policy_text(policy: NetworkPolicy) -> str:
    """Who may reach which pods, and whom these pods may reach: one part for each rule, ingress first."""
    pods, ingress, egress = policy.spec.pod_selector, policy.spec.ingress, policy.spec.egress
    parts = [f"from {peers_text(rule.peers)} to {pods} {ports_text(rule.ports)}" for rule in ingress or ()]
    if ingress == ():
        parts.append(f"deny all ingress to {pods}")
    parts += [
        f"from {pods} to {peers_text(rule.peers, 'everywhere')} {ports_text(rule.ports)}" for rule in egress or ()
    ]
    if egress == ():
        parts.append(f"deny all egress from {pods}")
    return "; ".join(parts)


def peers_text(peers: tuple[Peer, ...] | None, every_peer: str = "everyone") -> str:
    """The first of the peers; where there are more, how many."""
    if peers is None:
        return every_peer
    more = f" and {len(peers) - SHOWN_PEERS} more" if len(peers) > SHOWN_PEERS else ""
    return ", ".join(map(str, peers[:SHOWN_PEERS])) + more


def ports_text(ports: tuple[PolicyPort, ...] | None) -> str:
    return "every port" if ports is None else " ".join(map(str, ports))
