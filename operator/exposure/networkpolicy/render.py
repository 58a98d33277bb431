"""NetworkPolicy values as manifests of networking.k8s.io/v1, with every field that the API would default."""

from collections.abc import Mapping
from typing import Any

from exposure.labels import LabelSelector
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort, Rule

Manifest = dict[str, Any]


def network_policy_manifest(policy: NetworkPolicy) -> Manifest:
    """The whole object, as it is applied."""
    metadata: Manifest = {"namespace": policy.namespace, "name": policy.name, "labels": dict(policy.labels)}
    if policy.annotations:
        metadata["annotations"] = dict(policy.annotations)
    if policy.owners:
        metadata["ownerReferences"] = list(map(owner_reference, policy.owners))
    ingress, egress = policy.spec.ingress, policy.spec.egress
    spec: Manifest = {
        "podSelector": selector(policy.spec.pod_selector),
        "policyTypes": [way for way, rules in (("Ingress", ingress), ("Egress", egress)) if rules is not None],
    }
    if ingress is not None:
        spec["ingress"] = [_rule(rule, "from") for rule in ingress]
    if egress is not None:
        spec["egress"] = [_rule(rule, "to") for rule in egress]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def owner_reference(owner: Owner) -> Manifest:
    return {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}


def selector(of: LabelSelector) -> Manifest:
    expressions = [
        _present({"key": need.key, "operator": need.operator, "values": list(need.values) or None})
        for need in of.requirements
    ]
    return _present({"matchLabels": dict(of.labels) or None, "matchExpressions": expressions or None})


def _rule(rule: Rule, side: str) -> Manifest:
    peers = None if rule.peers is None else list(map(peer, rule.peers))
    return _present({side: peers, "ports": None if rule.ports is None else list(map(port, rule.ports))})


def peer(of: Peer) -> Manifest:
    pods, namespaces = (None if by is None else selector(by) for by in (of.pods, of.namespaces))
    block = of.block and _present({"cidr": str(of.block.cidr), "except": list(map(str, of.block.excepts)) or None})
    return _present({"ipBlock": block, "namespaceSelector": namespaces, "podSelector": pods})


def port(of: PolicyPort) -> Manifest:
    return _present({"protocol": of.protocol, "port": of.port, "endPort": of.end_port})


def _present(fields: Mapping[str, Any]) -> Manifest:
    return {key: value for key, value in fields.items() if value is not None}
