"""`kubectl exposure explain NAME`: every source, port and blind spot of an entry point, with its reason and cure."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exposure.cli.command import DONE, Command
from exposure.cli.exposure_json import exposure_json, json_text, ref_json
from exposure.cli.inputs import add_input_options, gather
from exposure.cli.selection import FORMS, METAVAR, NamedObject, named_object
from exposure.cli.terminal import safe, say, wrapped
from exposure.cli.wording import (
    EFFECTS,
    NONE,
    addresses_text,
    entry_points_text,
    from_text,
    governor_text,
    source_text,
)
from exposure.model.exposures import BlindSpot, Exposure, OpenPort, Source
from exposure.model.intent import ClusterSpec, ExposureSpec
from exposure.model.objects import Ref
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.text import policy_text
from exposure.networkpolicy.values import NetworkPolicy

if TYPE_CHECKING:
    from exposure.plan.resolved import ResolvedSnapshot

NO_ENTRY_POINT = (
    "{named} ({type}) is behind no entry point: it is no load balancer, none of its node ports and external IPs is "
    "open, and no Ingress or Gateway leads to it."
)
NO_ENTRY_POINT_OF_ANOTHER_KIND = "{named} is no entry point: no route of it leads to a Service."
REMOVE_ANNOTATION = "Remove the annotation exposure.dev/mode from namespace {namespace}."
SET_MODE = "Set mode: Enforce in ExposurePolicy {name}."
SET_DEFAULT_MODE = "Set defaults.mode: Enforce in ClusterExposurePolicy {name}."


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar=METAVAR, help=f"what to explain: {FORMS}")
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="text (the default), or json (entry points as map -o json gives them, with their NetworkPolicies)",
    )
    parser.add_argument("--as-enforced", action="store_true", help="explain as if nothing were in mode Audit or Paused")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.plan.resolved import ResolvedSnapshot, as_enforced

    given = gather(arguments)
    if arguments.as_enforced:
        given = replace(given, snapshot=as_enforced(given.snapshot))
    resolved = ResolvedSnapshot(given.snapshot)
    # An Ingress or a Gateway that leads to the Service may be in any namespace.
    every = resolved.exposures(given.snapshot.namespaces)
    named = named_object(given, every, arguments.name)
    exposures = [exposure for exposure in every if named.owns(exposure)]
    if arguments.output == "json":
        sys.stdout.write(json_text([_explained_json(exposure, resolved) for exposure in exposures]))
        return DONE
    for line in _explanation(named, exposures, resolved):
        say(line)
    return DONE


def _explained_json(exposure: Exposure, resolved: "ResolvedSnapshot") -> dict[str, Any]:
    """As `map -o json`, with what carries the entry point, and what Audit would write."""
    from exposure.render import network_policy_manifest

    planned = resolved.planned(exposure)
    return {
        **exposure_json(exposure),
        "plannedNetworkPolicies": [ref_json(Ref(policy.namespace, policy.name)) for policy in planned],
        "manifests": [network_policy_manifest(policy) for policy in (*_carrying(exposure, resolved), *planned)],
    }


def _carrying(exposure: Exposure, resolved: "ResolvedSnapshot") -> list[NetworkPolicy]:
    return [policy for ref in exposure.network_policies if (policy := resolved.policy(ref)) is not None]


def _explanation(named: NamedObject, exposures: Sequence[Exposure], resolved: "ResolvedSnapshot") -> Iterator[str]:
    """The lines, at most 80 columns wide where words allow."""
    if not exposures:
        yield wrapped(_no_entry_point(named, resolved.snapshot))
    for number, exposure in enumerate(exposures):
        if number:
            yield ""
        yield from _entry_point(exposure, resolved)


def _no_entry_point(named: NamedObject, snapshot: Snapshot) -> str:
    if named.kind != "Service":
        return NO_ENTRY_POINT_OF_ANOTHER_KIND.format(named=named)
    service = snapshot.services[named.ref.namespace][named.ref.name]
    return NO_ENTRY_POINT.format(named=named, type=service.type)


def _entry_point(exposure: Exposure, resolved: "ResolvedSnapshot") -> Iterator[str]:
    yield f"{exposure.namespace}/{exposure.name}"
    yield from _pair("type", entry_points_text(exposure))
    yield from _pair("address", addresses_text(exposure))
    yield from _pair("policy", governor_text(exposure))
    yield from _pair("provider", exposure.profile)
    yield from _pair("CNI", exposure.cni)
    for backend in exposure.backends:
        ready = f"{backend.ready} of {backend.total} ready"
        yield from _pair("backend", f"Service {backend.service}, pods {backend.selector or NONE} ({ready})")
    yield from _pair("refused", exposure.refusal)
    yield from _section("Ports", [wrapped(_port(port), "    ", "      ") for port in exposure.ports])
    sources = [line for source in exposure.sources for line in _source(source)]
    yield from _section("Who is admitted", sources or [wrapped(from_text(exposure), "    ")])
    carrying, planned = _carrying(exposure, resolved), resolved.planned(exposure)
    if carrying:
        yield from _section("NetworkPolicies that carry it", _policies(carrying))
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
    yield ""
    yield f"  {title}"
    yield from lines or (f"    {NONE}",)


def _port(port: OpenPort) -> str:
    name = f"{port.name}: " if port.name else ""
    named = "named " if isinstance(port.target, str) else ""
    return f"{name}{port.protocol} {port.port} at the entry point, port {named}{port.target} of the pods"


def _source(source: Source) -> Iterator[str]:
    ports = ", ".join(map(str, source.ports)) or "no port"
    yield wrapped(f"{source.kind}  {source_text(source)} on {ports}", "    ", "       ")
    yield wrapped(source.explanation, "       ")
    yield from _noted("entry point", source.entry_point)
    yield from _noted("row", source.row.id)
    yield from _noted("see", source.reference)


def _policies(policies: Iterable[NetworkPolicy]) -> Iterator[str]:
    """Complete: with the peers and the egress that are asked for beside what the entry point delivers."""
    for policy in policies:
        yield f"    {safe(policy.name)}"
        for sentence in policy_text(policy).split("; "):
            yield wrapped(sentence, "       ", "         ")


def _cures(exposure: Exposure, snapshot: Snapshot) -> Iterator[str]:
    """What ends mode Audit: the annotation of a namespace, the mode of the policy, or both."""
    for namespace in sorted({backend.service.namespace for backend in exposure.backends}):
        if namespace in snapshot.namespaces and snapshot.namespaces[namespace].mode == "Audit":
            yield REMOVE_ANNOTATION.format(namespace=namespace)
    policy = exposure.policy
    if policy is not None and policy.kind == "ExposurePolicy":
        spec = snapshot.exposure_policies[policy.namespace][policy.name].spec
        if isinstance(spec, ExposureSpec) and spec.mode == "Audit":
            yield SET_MODE.format(name=f"{policy.namespace}/{policy.name}")
    elif policy is not None:
        cluster_spec = snapshot.cluster_exposure_policies[policy.name].spec
        if isinstance(cluster_spec, ClusterSpec) and cluster_spec.defaults.mode == "Audit":
            yield SET_DEFAULT_MODE.format(name=policy.name)


def _noted(name: str, text: str, indent: str = " " * 7) -> Iterator[str]:
    if text:
        yield wrapped(f"{name}: {text}", indent, f"{indent}  ")


def _blind_spot(spot: BlindSpot) -> Iterator[str]:
    yield wrapped(f"{spot.reason} ({EFFECTS.get(spot.effect, spot.effect)})", "    ", "       ")
    yield wrapped(spot.message, "       ")
    yield from _noted("cure", spot.cure)


COMMAND = Command(
    name="explain",
    summary="every source, port and blind spot of one Service, Ingress or Gateway, with its reason and its cure",
    description="Explains every entry point that leads to a Service, or that is an Ingress or a Gateway: who is "
    "admitted and why, by which row of the truth table and which documentation; and what no NetworkPolicy can hold "
    "back, with the cure.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure explain shop/web\n  kubectl exposure explain web -n shop -f manifests/\n"
    "  kubectl exposure explain ingress/shop -o json\n",
)
