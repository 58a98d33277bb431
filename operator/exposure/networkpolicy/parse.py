"""NetworkPolicies and label selectors from the API's JSON into values, whoever wrote them.

What the API server would never store is read in the widest meaning that it could have. These policies are compared
with the planned ones, and reported if they allow more, so none may be missed. They never make the operator open more.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from exposure.addresses import Network, block, network
from exposure.fields import Raw, integer, labels, mapping, meta, objects, port, sequence, text, texts
from exposure.labels import LabelSelector, Requirement
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort, PolicySpec, Rule

T = TypeVar("T")


def label_selector(raw: Raw) -> LabelSelector:
    requirements = (
        Requirement(text(expression, "key"), text(expression, "operator"), tuple(sorted(texts(expression, "values"))))
        for expression in objects(raw, "matchExpressions")
    )
    return LabelSelector(labels(raw, "matchLabels"), tuple(sorted(requirements, key=str)))


def optional_selector(raw: Raw, key: str) -> LabelSelector | None:
    return label_selector(mapping(raw, key)) if isinstance(raw.get(key), dict) else None


def owners(raw: Raw) -> tuple[Owner, ...]:
    refs = objects(meta(raw), "ownerReferences")
    return tuple(Owner(text(ref, "apiVersion"), text(ref, "kind"), text(ref, "name"), text(ref, "uid")) for ref in refs)


def network_policy(raw: Raw) -> NetworkPolicy:
    head = meta(raw)
    return NetworkPolicy(
        namespace=text(head, "namespace", "default"),
        name=text(head, "name"),
        spec=policy_spec(mapping(raw, "spec")),
        labels=labels(head, "labels"),
        annotations=tuple((k, v) for k, v in labels(head, "annotations") if k.startswith("exposure.dev/")),
        owners=owners(raw),
        uid=text(head, "uid"),
        deleting="deletionTimestamp" in head,
    )


def policy_spec(spec: Raw) -> PolicySpec:
    """A direction that policyTypes does not name is None, whatever its list holds: the API ignores it there too."""
    types = texts(spec, "policyTypes") or ("Ingress", *(("Egress",) if sequence(spec, "egress") else ()))
    return PolicySpec(
        pod_selector=label_selector(mapping(spec, "podSelector")),
        ingress=_rules(spec, "ingress", "from") if "Ingress" in types else None,
        egress=_rules(spec, "egress", "to") if "Egress" in types else None,
    )


def _rules(raw: Raw, key: str, side: str) -> tuple[Rule, ...]:
    # A null among the rules is an empty rule, which admits everything: so Go reads it.
    rules = (rule if isinstance(rule, dict) else {} for rule in sequence(raw, key))
    return tuple(
        Rule(_readable(map(_peer, sequence(rule, side))), _readable(map(_port, sequence(rule, "ports"))))
        for rule in rules
    )


def _readable(items: Iterable[T | None]) -> tuple[T, ...] | None:
    """None, which admits everything, for an empty list and for one of which an item cannot be read."""
    listed = list(items)
    readable = tuple(item for item in listed if item is not None)
    return readable if readable and len(readable) == len(listed) else None


def _peer(raw: Any) -> Peer | None:
    """None for a peer that cannot be read."""
    if not isinstance(raw, dict):
        return None
    if isinstance(raw.get("ipBlock"), dict):
        cidr = _network(text(raw["ipBlock"], "cidr"))
        excepts = (_network(written) for written in texts(raw["ipBlock"], "except"))
        ip_block = None if cidr is None else block(cidr, [cut for cut in excepts if cut is not None])
        return None if ip_block is None else Peer(block=ip_block)
    pods, namespaces = optional_selector(raw, "podSelector"), optional_selector(raw, "namespaceSelector")
    return None if pods is None and namespaces is None else Peer(pods=pods, namespaces=namespaces)


def _network(written: str) -> Network | None:
    """A CIDR, also one with leading zeros that an old API server stored: 010.0.0.0/8 means 10.0.0.0/8."""
    address, slash, prefix = written.partition("/")
    plain = ".".join(part.lstrip("0") or "0" for part in address.split(".")) if "." in address else address
    try:
        return network(f"{plain}{slash}{prefix}")
    except ValueError:
        return None


def _port(raw: Any) -> PolicyPort | None:
    """None for a port that cannot be read."""
    if not isinstance(raw, dict):
        return None
    return PolicyPort(text(raw, "protocol") or "TCP", port(raw.get("port")), integer(raw, "endPort") or None)
