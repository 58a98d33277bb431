"""`kubectl exposure explain NAME`: every source, port and blind spot of an entry point, with its reason and cure."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

from exposure.cli import wording
from exposure.cli.command import DONE
from exposure.cli.inputs import gather
from exposure.cli.selection import NamedObject, named_object
from exposure.cli.terminal import safe, say, say_json, wrapped
from exposure.model.exposures import BlindSpot, Exposure, Source
from exposure.model.intent import ClusterSpec, ExposureSpec
from exposure.model.objects import ServicePort
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.render import network_policy_manifest
from exposure.networkpolicy.text import policy_text
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan.resolved import ResolvedSnapshot, as_enforced
from exposure.render.exposures import exposure_json


def run(arguments: Namespace) -> int:
    given = gather(arguments)
    resolved = ResolvedSnapshot(as_enforced(given.snapshot) if arguments.as_enforced else given.snapshot)
    # An Ingress or a Gateway that leads to the Service may be in any namespace.
    every = resolved.exposures(given.snapshot.namespaces)
    named = named_object(given, every, arguments.name)
    exposures = [exposure for exposure in every if named.owns(exposure)]
    if arguments.output == "json":
        say_json([_explained_json(exposure, resolved) for exposure in exposures])
    elif exposures:
        # At most 80 columns wide, unless a word is longer.
        say("\n\n".join("\n".join(_entry_point(exposure, resolved)) for exposure in exposures))
    else:
        say(wrapped(_no_entry_point(named, given.snapshot)))
    return DONE


def _explained_json(exposure: Exposure, resolved: ResolvedSnapshot) -> dict[str, Any]:
    """As `map -o json`, with the NetworkPolicies in full, written or planned."""
    planned = resolved.planned(exposure)
    return {
        **exposure_json(exposure),
        "plannedNetworkPolicies": [{"namespace": policy.namespace, "name": policy.name} for policy in planned],
        "manifests": [network_policy_manifest(policy) for policy in (*_carrying(exposure, resolved), *planned)],
    }


def _carrying(exposure: Exposure, resolved: ResolvedSnapshot) -> list[NetworkPolicy]:
    return [policy for ref in exposure.network_policies if (policy := resolved.policy(ref)) is not None]


def _no_entry_point(named: NamedObject, snapshot: Snapshot) -> str:
    if named.kind != "Service":
        return f"{named} is not an entry point: none of its routes leads to a Service."
    service = snapshot.services[named.ref.namespace][named.ref.name]
    return (
        f"{named} ({service.type}) is not behind an entry point. It is no load balancer, has no open node ports or "
        "external IPs, and no Ingress or Gateway leads to it."
    )


def _entry_point(exposure: Exposure, resolved: ResolvedSnapshot) -> Iterator[str]:
    yield str(exposure.ref)
    yield from _pair("type", wording.entry_points(exposure))
    yield from _pair("address", wording.addresses(exposure))
    yield from _pair("policy", wording.policy(exposure))
    yield from _pair("provider", exposure.profile)
    yield from _pair("CNI", exposure.cni)
    for backend in exposure.backends:
        ready = f"{backend.ready} of {backend.total} ready"
        yield from _pair("backend", f"Service {backend.service}, pods {backend.selector or wording.NONE} ({ready})")
    yield from _pair("refused", exposure.refusal)
    yield from _section("Ports", [wrapped(_port(port), "    ", "      ") for port in exposure.ports])
    yield from _section("Who is admitted", [line for source in exposure.sources for line in _source(source)])
    carrying, planned = _carrying(exposure, resolved), resolved.planned(exposure)
    if carrying:
        yield from _section("NetworkPolicies", _policies(carrying))
    if planned:
        cure = " ".join(_cures(exposure, resolved.snapshot))
        yield from _section(
            "NetworkPolicies planned, not written", [*_policies(planned), *_noted("cure", cure, "    ")]
        )
    yield from _section("Blind spots", [line for spot in exposure.blind_spots for line in _blind_spot(spot)])


def _pair(name: str, text: str) -> Iterator[str]:
    if text:
        yield wrapped(f"{name + ':':<12}{text}", "  ", " " * 14)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n  {title}"
    yield from lines or (f"    {wording.NONE}",)


def _noted(name: str, text: str, indent: str = " " * 7) -> Iterator[str]:
    if text:
        yield wrapped(f"{name}: {text}", indent, f"{indent}  ")


def _port(port: ServicePort) -> str:
    name = f"{port.name}: " if port.name else ""
    named = "named " if isinstance(port.target_port, str) else ""
    return f"{name}{port.protocol} {port.port} at the entry point, port {named}{port.target_port} of the pods"


def _source(source: Source) -> Iterator[str]:
    ports = ", ".join(map(str, source.ports)) or "no port"
    yield wrapped(f"{source.kind}  {wording.callers([source])} on {ports}", "    ", "       ")
    yield wrapped(source.explanation, "       ")
    yield from _noted("entry point", source.entry_point)
    yield from _noted("row", source.row.id)
    yield from _noted("see", source.reference)


def _policies(policies: Iterable[NetworkPolicy]) -> Iterator[str]:
    """Each policy in full, also its peers and its egress rules."""
    for policy in policies:
        yield f"    {safe(policy.name)}"
        for sentence in policy_text(policy).split("; "):
            yield wrapped(sentence, "       ", "         ")


def _cures(exposure: Exposure, snapshot: Snapshot) -> Iterator[str]:
    """What ends mode Audit: the annotation of a namespace, the mode of the policy, or both."""
    for namespace in sorted({backend.service.namespace for backend in exposure.backends}):
        if namespace in snapshot.namespaces and snapshot.namespaces[namespace].mode == "Audit":
            yield f"Remove the annotation exposure.dev/mode from namespace {namespace}."
    policy = exposure.policy
    if policy is not None and policy.kind == "ExposurePolicy":
        spec = snapshot.exposure_policies[policy.namespace][policy.name].spec
        if isinstance(spec, ExposureSpec) and spec.mode == "Audit":
            yield f"Set mode: Enforce in ExposurePolicy {policy.namespace}/{policy.name}."
    elif policy is not None:
        cluster_spec = snapshot.cluster_exposure_policies[policy.name].spec
        if isinstance(cluster_spec, ClusterSpec) and cluster_spec.defaults.mode == "Audit":
            yield f"Set defaults.mode: Enforce in ClusterExposurePolicy {policy.name}."


def _blind_spot(spot: BlindSpot) -> Iterator[str]:
    yield wrapped(f"{spot.reason} ({wording.EFFECTS[spot.effect]})", "    ", "       ")
    yield wrapped(spot.message, "       ")
    yield from _noted("cure", spot.cure)
