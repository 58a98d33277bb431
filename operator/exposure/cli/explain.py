"""`kubectl exposure explain SERVICE`: every source, port and blind spot, with its reason and its cure."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace

from exposure.cli.command import DONE, Command
from exposure.cli.inputs import add_input_options, find_service, gather
from exposure.cli.terminal import safe, say, wrapped
from exposure.cli.wording import EFFECTS, addresses_text, blocks_text, entry_points_text, from_text, governor_text
from exposure.model.exposures import BlindSpot, Exposure, OpenPort, Source
from exposure.model.objects import Ref, Service
from exposure.networkpolicy.text import policy_text
from exposure.networkpolicy.values import NetworkPolicy


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("service", metavar="[NAMESPACE/]SERVICE", help="the Service to explain")
    parser.add_argument("--as-enforced", action="store_true", help="explain as if nothing were in mode Audit or Paused")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.cli.resolved import ResolvedSnapshot, as_enforced

    given = gather(arguments)
    if arguments.as_enforced:
        given = replace(given, snapshot=as_enforced(given.snapshot))
    service = find_service(given, arguments.service)
    # A Service is also reached through routes, whose Ingress or Gateway may stand in any namespace.
    everywhere = tuple(sorted(given.snapshot.namespaces))
    outcomes = ResolvedSnapshot(given.snapshot, everywhere)
    exposures = [each for each in outcomes.exposures() if _leads_to(each, service.ref)]
    for line in explanation(service, exposures, outcomes.meant()):
        say(line)
    return DONE


def _leads_to(exposure: Exposure, service: Ref) -> bool:
    owned = exposure.owner.kind == "Service" and Ref(exposure.namespace, exposure.owner.name) == service
    return owned or any(backend.service == service for backend in exposure.backends)


def explanation(service: Service, exposures: list[Exposure], policies: Mapping[Ref, NetworkPolicy]) -> Iterator[str]:
    """The lines, at most 80 columns wide where words allow; `policies` are all that follow, by name."""
    if not exposures:
        yield wrapped(
            f"Service {service.ref} ({service.type}) stands behind no entry point: it is no load balancer, has no node port "
            "or external IP that was opened, and no Ingress or Gateway leads to it."
        )
        return
    for number, exposure in enumerate(exposures):
        if number:
            yield ""
        yield from _entry_point(exposure, policies)


def _entry_point(exposure: Exposure, policies: Mapping[Ref, NetworkPolicy]) -> Iterator[str]:
    yield f"{exposure.namespace}/{exposure.name}"
    yield from _pair("entry point", entry_points_text(exposure))
    yield from _pair("address", addresses_text(exposure))
    yield from _pair("policy", governor_text(exposure))
    if exposure.profile:
        yield from _pair("provider", exposure.profile)
    if exposure.cni:
        yield from _pair("CNI", exposure.cni)
    for backend in exposure.backends:
        ready = f"{backend.ready} of {backend.total} ready"
        yield from _pair("serves", f"Service {backend.service}, pods {backend.selector or 'none'} ({ready})")
    if exposure.refusal:
        yield from _pair("refused", exposure.refusal)
    yield ""
    yield "  Ports"
    for port in exposure.ports:
        yield wrapped(_port(port), "    ", "      ")
    if not exposure.ports:
        yield "    none"
    yield ""
    yield "  Who may come in"
    if exposure.sources:
        for source in exposure.sources:
            yield from _source(source)
    else:
        yield wrapped(from_text(exposure), "    ")
    carried = [policies[ref] for ref in exposure.network_policies if ref in policies]
    if carried:
        yield ""
        # Whole: the peers and the egress that were asked for stand here, beside what the entry point delivers.
        yield "  NetworkPolicies that carry it"
        for policy in carried:
            yield f"    {safe(policy.name)}"
            for sentence in policy_text(policy).split("; "):
                yield wrapped(sentence, "       ", "         ")
    yield ""
    yield "  Blind spots"
    if exposure.blind_spots:
        for spot in exposure.blind_spots:
            yield from _blind_spot(spot)
    else:
        yield "    none known"


def _pair(name: str, text: str) -> Iterator[str]:
    yield wrapped(f"{name + ':':<12}{text}", "  ", " " * 14)


def _port(port: OpenPort) -> str:
    name = f"{port.name}: " if port.name else ""
    kind = "the pods' port named" if isinstance(port.target, str) else "port"
    return f"{name}{port.protocol} {port.port} at the entry point, {kind} {port.target} of the pods"


def _source(source: Source) -> Iterator[str]:
    lines = [blocks_text(source.blocks)] if source.blocks else []
    lines += [str(peer) for peer in source.peers]
    ports = ", ".join(map(str, source.ports)) or "no port"
    who = "; ".join(lines) or "nobody"
    yield wrapped(f"{source.kind}  {who} on {ports}", "    ", "       ")
    yield wrapped(source.explanation, "       ")
    yield from _noted("entry point", source.entry_point)
    yield from _noted("row", source.row.id)
    yield from _noted("see", source.reference)


def _noted(name: str, text: str) -> Iterator[str]:
    if text:
        yield wrapped(f"{name}: {text}", "       ", "         ")


def _blind_spot(spot: BlindSpot) -> Iterator[str]:
    yield wrapped(f"{spot.reason} ({EFFECTS.get(spot.effect, spot.effect)})", "    ", "       ")
    yield wrapped(spot.message, "       ")
    yield from _noted("cure", spot.cure)


COMMAND = Command(
    name="explain",
    summary="every source, port and blind spot of one Service, with its reason and its cure",
    description="Says of every entry point that leads to a Service who may come in and why, down to the row of the truth\n"
    "table and the documentation behind it, and what no NetworkPolicy can hold back, with the cure.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure explain shop/web\n  kubectl exposure explain web -n shop -f manifests/\n",
)
