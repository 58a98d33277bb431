"""NetworkPolicy values as manifests of networking.k8s.io/v1, explicit in everything the API would default."""

from typing import Any

from exposure.addresses import Block
from exposure.labels import LabelSelector
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort, Rule

Manifest = dict[str, Any]


def network_policy_manifest(policy: NetworkPolicy) -> Manifest:
    """The whole object, as it is applied."""
    metadata: Manifest = {"namespace": policy.namespace, "name": policy.name, "labels": dict(policy.labels)}
    if policy.annotations:
        metadata["annotations"] = dict(policy.annotations)
    if policy.owners:
        metadata["ownerReferences"] = [owner_reference(owner) for owner in policy.owners]
    ingress, egress = policy.spec.ingress, policy.spec.egress
    spec: Manifest = {
        "podSelector": selector(policy.spec.pod_selector),
        "policyTypes": [way for way, rules in (("Ingress", ingress), ("Egress", egress)) if rules is not None],
    }
    if ingress is not None:
        spec["ingress"] = [rule(each, "from") for each in ingress]
    if egress is not None:
        spec["egress"] = [rule(each, "to") for each in egress]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def owner_reference(owner: Owner) -> Manifest:
    return {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}


def selector(of: LabelSelector) -> Manifest:
    found: Manifest = {}
    if of.labels:
        found["matchLabels"] = dict(of.labels)
    if of.requirements:
        found["matchExpressions"] = [
            {"key": each.key, "operator": each.operator, **({"values": list(each.values)} if each.values else {})}
            for each in of.requirements
        ]
    return found


def rule(of: Rule, side: str) -> Manifest:
    found: Manifest = {}
    if of.peers is not None:
        found[side] = [peer(each) for each in of.peers]
    if of.ports is not None:
        found["ports"] = [port(each) for each in of.ports]
    return found


def peer(of: Peer) -> Manifest:
    if of.block is not None:
        return {"ipBlock": ip_block(of.block)}
    found: Manifest = {}
    if of.namespaces is not None:
        found["namespaceSelector"] = selector(of.namespaces)
    if of.pods is not None:
        found["podSelector"] = selector(of.pods)
    return found


def ip_block(of: Block) -> Manifest:
    return {"cidr": str(of.cidr), **({"except": list(map(str, of.excepts))} if of.excepts else {})}


def port(of: PolicyPort) -> Manifest:
    found: Manifest = {"protocol": of.protocol}
    if of.port is not None:
        found["port"] = of.port
    if of.end_port is not None:
        found["endPort"] = of.end_port
    return found
