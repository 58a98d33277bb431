"""NetworkPolicies and label selectors of anybody, as the API keeps them, into values.

What the API server would never keep is read as the widest that it could mean: these objects are compared with what is
wanted and named where they reopen something, and neither must miss one. Nothing of ours is opened on their account.
"""

from typing import Any

from exposure.addresses import Block, Network, block, network
from exposure.fields import Raw, each, integer, labels, mapping, meta, objects, port, sequence, text, texts
from exposure.labels import LabelSelector, Requirement
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort, PolicySpec, Rule


def label_selector(raw: Raw) -> LabelSelector:
    found = (
        Requirement(text(each, "key"), text(each, "operator"), tuple(sorted(texts(each, "values"))))
        for each in objects(raw, "matchExpressions")
    )
    return LabelSelector(labels(raw, "matchLabels"), tuple(sorted(found, key=str)))


def optional_selector(raw: Raw, key: str) -> LabelSelector | None:
    return label_selector(mapping(raw, key)) if isinstance(raw.get(key), dict) else None


def owners(raw: Raw) -> tuple[Owner, ...]:
    return each(
        meta(raw),
        "ownerReferences",
        lambda ref: Owner(text(ref, "apiVersion"), text(ref, "kind"), text(ref, "name"), text(ref, "uid")),
    )


def network_policy(raw: Raw) -> NetworkPolicy:
    head, spec = meta(raw), mapping(raw, "spec")
    return NetworkPolicy(
        namespace=text(head, "namespace", "default"),
        name=text(head, "name"),
        spec=policy_spec(spec),
        labels=labels(head, "labels"),
        annotations=tuple((k, v) for k, v in labels(head, "annotations") if k.startswith("exposure.dev/")),
        owners=owners(raw),
        uid=text(head, "uid"),
        deleting="deletionTimestamp" in head,
    )


def policy_spec(spec: Raw) -> PolicySpec:
    """A direction that policyTypes does not name is None, whatever its list holds: the API ignores it there too."""
    named = texts(spec, "policyTypes") or ("Ingress", *(("Egress",) if sequence(spec, "egress") else ()))
    return PolicySpec(
        pod_selector=label_selector(mapping(spec, "podSelector")),
        ingress=_rules(spec, "ingress", "from") if "Ingress" in named else None,
        egress=_rules(spec, "egress", "to") if "Egress" in named else None,
    )


def _rules(raw: Raw, key: str, side: str) -> tuple[Rule, ...]:
    # A null among the rules is an empty rule, which admits everything: so Go reads it.
    return tuple(_rule(each if isinstance(each, dict) else {}, side) for each in sequence(raw, key))


def _rule(raw: Raw, side: str) -> Rule:
    peers = [_peer(each) for each in sequence(raw, side)]
    ports = [_port(each) for each in sequence(raw, "ports")]
    known_peers = tuple(each for each in peers if each is not None)
    known_ports = tuple(each for each in ports if each is not None)
    return Rule(
        known_peers if known_peers and len(known_peers) == len(peers) else None,
        known_ports if known_ports and len(known_ports) == len(ports) else None,
    )


def _peer(raw: Any) -> Peer | None:
    """None for a peer that nobody can read."""
    if not isinstance(raw, dict):
        return None
    if isinstance(raw.get("ipBlock"), dict):
        found = _ip_block(raw["ipBlock"])
        return None if found is None else Peer(block=found)
    pods, namespaces = optional_selector(raw, "podSelector"), optional_selector(raw, "namespaceSelector")
    return None if pods is None and namespaces is None else Peer(pods=pods, namespaces=namespaces)


def _ip_block(raw: Raw) -> Block | None:
    cidr = _network(text(raw, "cidr"))
    if cidr is None:
        return None
    return block(cidr, [cut for each in texts(raw, "except") if (cut := _network(each)) is not None])


def _network(written: str) -> Network | None:
    """A CIDR; also one that was stored before leading zeros were refused, where 010.0.0.0/8 means 10.0.0.0/8."""
    address, slash, prefix = written.partition("/")
    plain = ".".join(part.lstrip("0") or "0" for part in address.split(".")) if "." in address else address
    try:
        return network(f"{plain}{slash}{prefix}")
    except ValueError:
        return None


def _port(raw: Any) -> PolicyPort | None:
    if not isinstance(raw, dict):
        return None
    return PolicyPort(text(raw, "protocol") or "TCP", port(raw.get("port")), integer(raw, "endPort") or None)
