"""One namespace, gathered for resolving: its Services with their entry points, its pods, the policies that speak there."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exposure.labels import NAMESPACE_LABEL, selecting
from exposure.model.intent import MODES, Isolation
from exposure.model.objects import EndpointSlice, Namespace, Pod, Ref, Service
from exposure.model.snapshot import Snapshot
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governance import Voice, governor
from exposure.resolve.ports import LabelledPod
from exposure.resolve.tenancy import Bounds, Covering, bounds, covering, merged, voices

#: Entry points by which a Service itself is one; Ingress and Gateway entry points are objects of their own.
SERVICE_ENTRY_POINTS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort")

SHOWN_HOST_PORTS = 8


@dataclass(frozen=True, slots=True)
class Scene:
    namespace: Namespace
    services: tuple[Service, ...]
    entry_points: dict[str, frozenset[str]]
    pods: tuple[LabelledPod, ...]
    slices: dict[str, tuple[EndpointSlice, ...]]
    coverings: tuple[Covering, ...]
    limit: Bounds
    voices: tuple[Voice, ...]
    governors: dict[str, tuple[Voice | None, tuple[Voice, ...]]]
    mode: str | None
    note: str

    def governor_of(self, service: str) -> Voice | None:
        return self.governors.get(service, (None, ()))[0]

    def isolation(self, modes: Iterable[str]) -> Isolation:
        wanted = frozenset(modes)
        return merged(voice.spec.isolation for voice in self.voices if voice.mode in wanted)


def gather(snapshot: Snapshot, facts: ClusterFacts, name: str) -> Scene:
    namespace = snapshot.namespaces.get(name) or Namespace(name, ((NAMESPACE_LABEL, name),))
    services = tuple(snapshot.services.get(name, {})[key] for key in sorted(snapshot.services.get(name, {})))
    living = tuple(service for service in services if not service.deleting)
    pods = tuple(LabelledPod(dict(pod.labels), pod) for _, pod in sorted(snapshot.pods.get(name, {}).items()))
    slices: dict[str, list[EndpointSlice]] = {}
    for _, each in sorted(snapshot.endpoint_slices.get(name, {}).items()):
        slices.setdefault(each.service, []).append(each)
    with_host_port = [each for each in pods if not each.pod.finished and _has_host_port(each.pod)]
    entry_points = {service.name: entry_points_of(service, with_host_port, facts) for service in living}
    coverings = covering(snapshot, namespace)
    limit = bounds(coverings)
    policies = [p for _, p in sorted(snapshot.exposure_policies.get(name, {}).items())]
    heard = voices(policies, coverings, limit, living)
    mode, note = _mode(namespace, limit)
    return Scene(
        namespace,
        living,
        entry_points,
        pods,
        {service: tuple(each) for service, each in slices.items()},
        coverings,
        limit,
        heard,
        {s.name: _governed(s, entry_points[s.name], heard, coverings) for s in living if entry_points[s.name]}
        if heard
        else {},
        mode,
        note,
    )


def _governed(
    service: Service, entry_points: frozenset[str], heard: tuple[Voice, ...], coverings: tuple[Covering, ...]
) -> tuple[Voice | None, tuple[Voice, ...]]:
    """Who governs; where an ExposurePolicy is required and none covers the Service, the one who requires it refuses."""
    required = any(each.spec is not None and each.spec.require_exposure_policy for each in coverings)
    found, losers = governor(heard, service.name, dict(service.labels), entry_points)
    if found is not None and found.cluster and required:
        found = _refusing(found)
    return found, tuple(losers)


def _refusing(voice: Voice) -> Voice:
    return replace(voice, refused=True)


def _mode(namespace: Namespace, limit: Bounds) -> tuple[str | None, str]:
    """What the namespace's own annotation asks for, as far as the limits let it, and what is to be said about it."""
    asked = namespace.mode
    if asked is None:
        return None, ""
    if asked not in MODES:
        return None, f"The annotation exposure.dev/mode: {asked} is none of {', '.join(MODES)}, and is passed over."
    if limit.modes is not None and asked not in limit.modes:
        return None, f"The annotation exposure.dev/mode: {asked} is not allowed here by limits.allowModes."
    return asked, ""


def _has_host_port(pod: Pod) -> bool:
    return not pod.host_network and any(port.host_port for port in pod.ports)


def host_ports_of_nobody(scene: Scene) -> str:
    """A sentence about the host ports of pods that no Service selects: nothing stands for them that could be opened."""
    selectors = [selecting(dict(service.selector)) for service in scene.services if service.selector]
    found = {
        (port.host_port, port.protocol)
        for each in scene.pods
        if not each.pod.finished and _has_host_port(each.pod) and not any(by.matches(each.labels) for by in selectors)
        for port in each.pod.ports
        if port.host_port
    }
    if not found:
        return ""
    shown = ", ".join(f"{number}/{protocol}" for number, protocol in sorted(found)[:SHOWN_HOST_PORTS])
    return f"No Service stands before the pods with hostPort {shown}: nothing is opened for them."


def entry_points_of(service: Service, with_host_port: Iterable[LabelledPod], facts: ClusterFacts) -> frozenset[str]:
    """The kinds of entry points that a Service stands behind, asked for or not."""
    found: set[str] = set()
    if service.type == "LoadBalancer":
        found.add("LoadBalancer")
    if service.type in ("NodePort", "LoadBalancer") and (
        service.type == "NodePort" or service.allocates_node_ports or any(port.node_port for port in service.ports)
    ):
        found.add("NodePort")
    if service.external_ips and service.type != "ExternalName":
        found.add("ExternalIP")
    if service.selector:
        by = selecting(dict(service.selector))
        if any(by.matches(each.labels) for each in with_host_port):
            found.add("HostPort")
    found |= {grant.front.entry_point for grant in facts.grants.get(Ref(service.namespace, service.name), ())}
    return frozenset(found)
