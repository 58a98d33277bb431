"""NetworkPolicies and label selectors, as the API writes them, into values."""

from exposure.parse.fields import BadField, Raw, integer, labels, mapping, objects, port, text, texts
from exposure.parse.objects import meta, owners
from exposure.values.addresses import Block, block, network
from exposure.values.labels import LabelSelector, Requirement
from exposure.values.network_policy import NetworkPolicy, Peer, PolicyPort, PolicySpec, Rule


def label_selector(raw: Raw) -> LabelSelector:
    return LabelSelector(
        labels(raw, "matchLabels"),
        tuple(
            sorted(
                (
                    Requirement(text(each, "key"), text(each, "operator"), tuple(sorted(texts(each, "values"))))
                    for each in objects(raw, "matchExpressions")
                ),
                key=str,
            )
        ),
    )


def optional_selector(raw: Raw, key: str) -> LabelSelector | None:
    return label_selector(mapping(raw, key)) if isinstance(raw.get(key), dict) else None


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
    named = texts(spec, "policyTypes") or ("Ingress", *(("Egress",) if objects(spec, "egress") else ()))
    return PolicySpec(
        subject=label_selector(mapping(spec, "podSelector")),
        ingress=rules(spec, "ingress", "from") if "Ingress" in named else None,
        egress=rules(spec, "egress", "to") if "Egress" in named else None,
    )


def rules(raw: Raw, key: str, side: str) -> tuple[Rule, ...]:
    return tuple(rule(each, side) for each in objects(raw, key))


def rule(raw: Raw, side: str) -> Rule:
    peers = tuple(peer(each) for each in objects(raw, side))
    ports = tuple(policy_port(each) for each in objects(raw, "ports"))
    return Rule(peers or None, ports or None)


def peer(raw: Raw) -> Peer:
    written = mapping(raw, "ipBlock")
    return Peer(
        block=ip_block(written) if written else None,
        pods=optional_selector(raw, "podSelector"),
        namespaces=optional_selector(raw, "namespaceSelector"),
    )


def ip_block(raw: Raw) -> Block:
    try:
        found = block(network(text(raw, "cidr")), [network(cut) for cut in texts(raw, "except")])
    except ValueError as error:
        raise BadField("ipBlock", f"{error}; write a CIDR such as 203.0.113.0/24") from error
    if found is None:
        raise BadField("ipBlock.except", "cuts out the whole cidr, and so admits nobody; drop the peer")
    return found


def policy_port(raw: Raw) -> PolicyPort:
    return PolicyPort(text(raw, "protocol") or "TCP", port(raw.get("port")), integer(raw, "endPort") or None)
