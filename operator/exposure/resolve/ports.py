"""Target ports: what the pod listens on, by name if the CNI resolves names reliably, else by number."""

from collections.abc import Iterable
from dataclasses import dataclass

from exposure.catalog.cnis import CNIProfile
from exposure.model.objects import BackendPort, EndpointSlice, Pod, Service, ServicePort
from exposure.networkpolicy.values import PolicyPort


@dataclass(frozen=True, slots=True)
class ServicePorts:
    """A Service port and the target ports that stand for it: empty where a name could not be resolved.

    `numbers`: what a name that stays a name is known to mean. A UDP target is probed on TCP of the same number.
    """

    port: ServicePort
    targets: tuple[PolicyPort, ...]
    numbers: tuple[int, ...] = ()


def exposed_ports(
    service: Service, wanted: tuple[int | str, ...] | None, limit: frozenset[int] | None
) -> tuple[ServicePort, ...]:
    """The Service ports that a policy exposes, inside its limits: by number or by name; omitted means all."""
    return tuple(
        port
        for port in service.ports
        if (wanted is None or port.port in wanted or (port.name and port.name in wanted))
        and (limit is None or port.port in limit)
    )


def target_ports(
    ports: Iterable[ServicePort], cni: CNIProfile, slices: Iterable[EndpointSlice], pods: Iterable[Pod]
) -> tuple[ServicePorts, ...]:
    """The target ports of each Service port: a name if the CNI resolves names per pod, else every known number."""
    by_name = cni.named_ports == "by-name"
    resolved: list[ServicePorts] = []
    for port in ports:
        if isinstance(port.target_port, int) or by_name:
            named = isinstance(port.target_port, str) and port.protocol != "TCP"
            numbers = known_numbers(port, slices, pods) if named else ()
            resolved.append(ServicePorts(port, (PolicyPort(port.protocol, port.target_port),), numbers))
        else:
            numbers = known_numbers(port, slices, pods)
            resolved.append(ServicePorts(port, tuple(PolicyPort(port.protocol, number) for number in numbers)))
    return tuple(resolved)


def known_numbers(port: ServicePort, slices: Iterable[EndpointSlice], pods: Iterable[Pod]) -> tuple[int, ...]:
    """Every number that a named target port has: in EndpointSlices (older rollouts included), else in the pods."""
    numbers = {
        endpoint_port.port
        for endpoint_slice in slices
        for endpoint_port in endpoint_slice.ports
        if endpoint_port.name == port.name
        and endpoint_port.protocol == port.protocol
        and endpoint_port.port is not None
    }
    if not numbers:
        numbers = {
            container_port.port
            for pod in pods
            if not pod.finished
            for container_port in pod.ports
            if container_port.name == port.target_port and container_port.protocol == port.protocol
        }
    return tuple(sorted(numbers))


def routed_port(service: Service, wanted: BackendPort) -> ServicePort | None:
    """The Service port of a route: by number, by name, or the only one that the Service has."""
    if wanted.number is not None:
        return next((port for port in service.ports if port.port == wanted.number), None)
    if wanted.name is not None:
        return next((port for port in service.ports if port.name == wanted.name), None)
    return service.ports[0] if len(service.ports) == 1 else None
