"""Everything that resolving one namespace reads, gathered once: Services, pods, policies, limits, modes."""

from collections.abc import Iterable
from dataclasses import dataclass

from exposure.grouping import grouped
from exposure.labels import NAMESPACE_LABEL
from exposure.model.intent import MODES, Isolation, Limits
from exposure.model.objects import EndpointSlice, Namespace, Pod, Service
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.resolve.cluster_policies import matching_cluster_policies
from exposure.resolve.effective_policies import EffectivePolicy, combined_isolation, effective_policies
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governance import governing
from exposure.resolve.limits import effective_limits

#: Entry points that are Services themselves. Ingresses and Gateways are objects of their own.
SERVICE_ENTRY_POINTS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort")
#: Host ports named in a message.
LISTED_HOST_PORTS = 8


@dataclass(frozen=True, slots=True)
class NamespaceInputs:
    """`entry_points`, `slices` and `governing` are by the name of the Service; `pods` without those that have finished.

    `governing`: the policies that select a Service, best first. The first one governs it.

    `mode`: Audit or Paused, where the namespace's annotation asks for it and limits allow it; `mode_note`: why it is
    ignored.
    """

    namespace: Namespace
    services: tuple[Service, ...]
    entry_points: dict[str, frozenset[str]]
    pods: tuple[Pod, ...]
    slices: dict[str, tuple[EndpointSlice, ...]]
    network_policies: dict[str, NetworkPolicy]
    limits: Limits
    policies: tuple[EffectivePolicy, ...]
    governing: dict[str, tuple[EffectivePolicy, ...]]
    mode: str | None
    mode_note: str

    @property
    def name(self) -> str:
        return self.namespace.name

    @property
    def paused(self) -> bool:
        """Whether nothing is written: the annotation Paused, or a namespace that is being deleted."""
        return self.mode == "Paused" or self.namespace.deleting

    def isolation(self, *modes: str) -> Isolation:
        """The isolation that the policies in these modes ask for together."""
        return combined_isolation(policy.spec.isolation for policy in self.policies if policy.mode in modes)

    def mode_of(self, policy: EffectivePolicy) -> str:
        """The namespace's annotation Audit or Paused overrides the policy's mode. Enforce changes nothing."""
        return self.mode or policy.mode


def gather_inputs(snapshot: Snapshot, facts: ClusterFacts, name: str) -> NamespaceInputs:
    namespace = snapshot.namespaces.get(name) or Namespace(name, ((NAMESPACE_LABEL, name),))
    services = tuple(service for _, service in sorted(snapshot.services.get(name, {}).items()) if not service.deleting)
    pods = tuple(pod for _, pod in sorted(snapshot.pods.get(name, {}).items()) if not pod.finished)
    slices = (endpoint_slice for _, endpoint_slice in sorted(snapshot.endpoint_slices.get(name, {}).items()))
    with_host_port = list(filter(has_host_port, pods))
    entry_points = {service.name: entry_points_of(service, with_host_port, facts) for service in services}
    matching = matching_cluster_policies(snapshot, namespace)
    limits = effective_limits(matching)
    policies = effective_policies(snapshot.exposure_policies.get(name, {}).values(), matching, limits, services)
    required = any(policy.spec is not None and policy.spec.require_exposure_policy for policy in matching)
    mode, mode_note = _namespace_mode(namespace, limits)
    return NamespaceInputs(
        namespace=namespace,
        services=services,
        entry_points=entry_points,
        pods=pods,
        slices=grouped((endpoint_slice.service, endpoint_slice) for endpoint_slice in slices),
        network_policies=dict(snapshot.network_policies.get(name, {})),
        limits=limits,
        policies=policies,
        governing={
            service.name: ranked
            for service in services
            if (ranked := governing(service, policies, entry_points[service.name], requires_exposure_policy=required))
        },
        mode=mode,
        mode_note=mode_note,
    )


def _namespace_mode(namespace: Namespace, limits: Limits) -> tuple[str | None, str]:
    """The mode that the namespace's annotation asks for, and why it is ignored where it is.

    If a ClusterExposurePolicy selects the namespace, only Enforce is allowed, unless limits.allowModes lists more.
    """
    asked = namespace.mode
    if asked is None:
        return None, ""
    if asked not in MODES:
        return None, f"The annotation exposure.dev/mode: {asked} is ignored. Use one of {', '.join(MODES)}."
    if limits.modes is not None and asked not in limits.modes:
        allowed = ", ".join(limits.modes) or "none"
        return None, (
            f"The annotation exposure.dev/mode: {asked} is ignored, because limits.allowModes of a "
            f"ClusterExposurePolicy does not allow it here. Allowed: {allowed}."
        )
    # Enforce suspends nothing: each policy keeps its own mode.
    return (None if asked == "Enforce" else asked), ""


def has_host_port(pod: Pod) -> bool:
    return not pod.host_network and any(port.host_port for port in pod.ports)


def unselected_host_ports(inputs: NamespaceInputs) -> str:
    """A sentence about host ports of pods that no Service selects; "" if there are none."""
    selectors = [service.pod_selector for service in inputs.services if service.pod_selector]
    host_ports = {
        (port.host_port, port.protocol)
        for pod in inputs.pods
        if has_host_port(pod) and not any(selector.matches(pod.labels) for selector in selectors)
        for port in pod.ports
        if port.host_port
    }
    if not host_ports:
        return ""
    listed = ", ".join(f"{number}/{protocol}" for number, protocol in sorted(host_ports)[:LISTED_HOST_PORTS])
    return f"No Service selects the pods with hostPort {listed}, so nothing is opened for them. Create a Service."


def entry_points_of(service: Service, pods_with_host_port: Iterable[Pod], facts: ClusterFacts) -> frozenset[str]:
    """The kinds of entry points by which a Service can be reached, selected by a policy or not."""
    kinds = {route.ingress_point.kind for route in facts.routes.get(service.ref, ())}
    if service.type == "LoadBalancer":
        kinds.add("LoadBalancer")
    if service.type == "NodePort" or (service.type == "LoadBalancer" and service.has_node_ports):
        kinds.add("NodePort")
    if service.external_ips and service.type != "ExternalName":
        kinds.add("ExternalIP")
    if any(service.selected(pods_with_host_port)):
        kinds.add("HostPort")
    return frozenset(kinds)
