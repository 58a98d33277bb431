"""ExposurePolicy and ClusterExposurePolicy into values. A spec that the API server would refuse is an `InvalidSpec`."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

from exposure.addresses import Block, Network, block, collapsed, network
from exposure.fields import Raw, boolean, integer, mapping, meta, objects, optional_text, sequence, text, texts
from exposure.model.intent import (
    ENTRY_POINTS,
    MODES,
    Clients,
    ClusterExposurePolicy,
    ClusterSpec,
    Egress,
    ExposurePolicy,
    ExposureSpec,
    InvalidSpec,
    Isolation,
    Limits,
    LoadBalancerOverrides,
    Policy,
)
from exposure.networkpolicy.parse import optional_selector, policy_spec
from exposure.networkpolicy.values import Peer
from exposure.validation import Problem, problems

S = TypeVar("S")

#: What CEL cannot check: exceptions that add up to the whole block. A peer list without an entry would admit everyone.
NOTHING_LEFT = "excludes all of {cidr}. Remove the entry from the list, or an exception"


def exposure_policy(raw: Raw) -> ExposurePolicy:
    return _policy("ExposurePolicy", raw, text(meta(raw), "namespace", "default"), _exposure_spec)


def cluster_exposure_policy(raw: Raw) -> ClusterExposurePolicy:
    return _policy("ClusterExposurePolicy", raw, "", _cluster_spec)


def _policy(kind: str, raw: Raw, namespace: str, read: Callable[[Raw], S]) -> Policy[S]:
    metadata, last = meta(raw), mapping(mapping(raw, "status"), "lastAccepted")
    spec: S | InvalidSpec = _spec(kind, raw, read)
    accepted: S | InvalidSpec | None = None
    if last:
        # What is written and what status remembers are the same for most policies, and are then read once.
        same = last.get("spec") == raw.get("spec")
        accepted = spec if same else _spec(kind, {**raw, "spec": last.get("spec")}, read)
    return Policy(
        namespace=namespace,
        name=text(metadata, "name"),
        spec=spec,
        created=text(metadata, "creationTimestamp"),
        generation=integer(metadata, "generation", 1),
        uid=text(metadata, "uid"),
        last_accepted=None if isinstance(accepted, InvalidSpec) else accepted,
    )


def _spec(kind: str, raw: Raw, read: Callable[[Raw], S]) -> S | InvalidSpec:
    for field, message in chain(problems(kind, raw), _empty_blocks(raw)):
        return InvalidSpec(field, message)
    return read(mapping(raw, "spec"))


def _empty_blocks(raw: Raw) -> Iterator[Problem]:
    """In a valid object, each ipBlock of which its exceptions leave nothing."""
    spec = mapping(raw, "spec")
    for field, peers in (*_peer_lists(spec, "spec"), *_peer_lists(mapping(spec, "defaults"), "spec.defaults")):
        for index, peer in enumerate(peers):
            if not _peers([peer]):
                yield Problem(f"{field}[{index}].ipBlock.except", NOTHING_LEFT.format(cidr=peer["ipBlock"]["cidr"]))


def _peer_lists(spec: Raw, field: str) -> Iterator[tuple[str, list[Any]]]:
    yield f"{field}.peers", sequence(spec, "peers")
    for index, rule in enumerate(objects(mapping(spec, "egress"), "to")):
        yield f"{field}.egress.to[{index}].to", sequence(rule, "to")


def _exposure_spec(spec: Raw) -> ExposureSpec:
    """The spec of an ExposurePolicy, or the defaults of a ClusterExposurePolicy."""
    services, overrides, egress = mapping(spec, "services"), mapping(spec, "loadBalancer"), spec.get("egress")
    profile = optional_text(overrides, "profile")
    return ExposureSpec(
        mode=optional_text(spec, "mode"),
        entry_points=_in_order(spec, "entryPoints", ENTRY_POINTS),
        selector=optional_selector(services, "selector"),
        names=texts(services, "names") or None,
        isolation=_isolation(spec),
        clients=_clients(mapping(spec, "clients")),
        ports=tuple(sequence(spec, "ports")) or None,
        peers=_peers(sequence(spec, "peers")),
        egress=None if egress is None else _egress(egress),
        load_balancer=LoadBalancerOverrides(
            profile=None if profile == "auto" else profile,
            cidrs=_networks(overrides, "cidrs"),
            health_check_cidrs=_networks(overrides, "healthCheckCIDRs"),
        ),
    )


def _cluster_spec(spec: Raw) -> ClusterSpec:
    limits = mapping(spec, "limits")
    return ClusterSpec(
        namespace_selector=optional_selector(spec, "namespaceSelector"),
        include_system_namespaces=texts(spec, "includeSystemNamespaces"),
        isolation=_isolation(spec),
        defaults=_exposure_spec(mapping(spec, "defaults")),
        require_exposure_policy=boolean(spec, "requireExposurePolicy", False),
        limits=Limits(
            clients=tuple(map(Block, collapsed(_networks(mapping(limits, "clients"), "cidrs")))) or None,
            ports=frozenset(sequence(limits, "ports")) or None,
            allow_public=boolean(limits, "allowPublic", True),
            modes=_in_order(limits, "allowModes", MODES) or ("Enforce",),
        ),
    )


def _in_order(raw: Raw, key: str, order: tuple[str, ...]) -> tuple[str, ...] | None:
    """A set that is written as a list, sorted: equal sets become equal values."""
    written = texts(raw, key)
    return tuple(name for name in order if name in written) or None


def _isolation(spec: Raw) -> Isolation:
    raw = mapping(spec, "isolation")
    ingress, egress, same_namespace = (boolean(raw, key, None) for key in ("ingress", "egress", "allowSameNamespace"))
    return Isolation(ingress, egress, same_namespace)


def _clients(raw: Raw) -> Clients:
    cidrs, excluded = _networks(raw, "cidrs"), _networks(raw, "except")
    blocks = tuple(admitted for cidr in cidrs if (admitted := block(cidr, excluded)) is not None)
    return Clients(blocks if cidrs else None, cidrs, optional_text(raw, "unenforceable"))


def _egress(raw: Raw) -> Egress:
    rules = policy_spec({"policyTypes": ["Egress"], "egress": sequence(raw, "to")}).egress
    return Egress(boolean(raw, "dns", True), boolean(raw, "apiServer", False), rules or ())


def _peers(raw: list[Any]) -> tuple[Peer, ...]:
    """NetworkPolicyPeers. Empty where one of them cannot be read."""
    (rule,) = policy_spec({"policyTypes": ["Ingress"], "ingress": [{"from": raw}]}).ingress or ()
    return rule.peers or ()


def _networks(raw: Raw, key: str) -> tuple[Network, ...]:
    return tuple(map(network, texts(raw, key)))
