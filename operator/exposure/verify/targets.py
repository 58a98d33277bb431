"""What to connect to: addresses of entry points from outside, pods and ClusterIPs behind them from inside. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from exposure.addresses import address as parsed
from exposure.addresses import family
from exposure.model.exposures import Exposure
from exposure.model.objects import ContainerPort, Pod, Ref, Service, ServicePort
from exposure.verify.context import VerificationContext
from exposure.verify.values import ReadyEndpoint, Target

#: How many nodes' node ports are tried, and how many pods of one Service by their own address.
MOST_NODES = 3
MOST_PODS = 2
ANY = ("IPv4", "IPv6")


def outside_targets(context: VerificationContext, exposures: Iterable[Exposure]) -> list[Target]:
    """Each address and port of each entry point, in order, each once."""
    targets: dict[tuple[str, int, str], Target] = {}
    for exposure in exposures:
        for target in _entry_point(context, exposure):
            targets.setdefault(_key(target), target)
    return list(targets.values())


def inside_targets(context: VerificationContext, exposures: Sequence[Exposure]) -> list[Target]:
    """Pods by their own addresses, and ClusterIPs: behind each entry point, and of the namespace's other Services."""
    targets: dict[tuple[str, int, str], Target] = {}
    exposed: set[Ref] = set()
    for exposure in exposures:
        for service in _services(context, exposure):
            exposed.add(service.ref)
            for target in _inside(context, service, f"{exposure.namespace}/{exposure.name}"):
                targets.setdefault(_key(target), target)
    for namespace in sorted({exposure.namespace for exposure in exposures}):
        for _, service in sorted(context.snapshot.services.get(namespace, {}).items()):
            if service.ref not in exposed and service.selector:
                for target in _inside(context, service, f"{namespace}/(no entry point)"):
                    targets.setdefault(_key(target), target)
    return list(targets.values())


def _key(target: Target) -> tuple[str, int, str]:
    return target.address, target.port, target.protocol


def _services(context: VerificationContext, exposure: Exposure) -> Iterator[Service]:
    for ref in dict.fromkeys(backend.service for backend in exposure.backends):
        service = context.snapshot.services.get(ref.namespace, {}).get(ref.name)
        if service is not None and service.selector:
            yield service


def _entry_point(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    if exposure.owner.kind != "Service":
        yield from _ingress_point(context, exposure)
        return
    service = context.snapshot.services.get(exposure.namespace, {}).get(exposure.owner.name)
    if service is None:
        return
    name = f"{exposure.namespace}/{exposure.name}"
    for port in service.ports:
        for entry_point, address, number in _addresses(context, exposure, service, port):
            backends = _of_family(context, service, port, address)
            yield _target(name, service, entry_point, address, number, port, backends)


def _addresses(
    context: VerificationContext, exposure: Exposure, service: Service, port: ServicePort
) -> Iterator[tuple[str, str, int]]:
    """The kind of entry point, the address and the port number of each way to a Service port."""
    if "LoadBalancer" in exposure.entry_points:
        for published in service.published:
            yield "LoadBalancer", str(published), port.port
    if "ExternalIP" in exposure.entry_points:
        for address in service.external_ips:
            yield "ExternalIP", address, port.port
    if "NodePort" in exposure.entry_points and port.node_port:
        for address in node_addresses(context, service, port):
            yield "NodePort", address, port.node_port
    if "HostPort" in exposure.entry_points:
        for backend in backends_of(context, service, port):
            node = context.snapshot.nodes.get(backend.node)
            address = node.internal_ips[0] if node and node.internal_ips else ""
            for container_port in backend.pod.ports if backend.pod and node else ():
                leads_here = (container_port.port, container_port.protocol) == (backend.port, port.protocol)
                if container_port.host_port and leads_here:
                    yield "HostPort", address, container_port.host_port


def node_addresses(context: VerificationContext, service: Service, port: ServicePort) -> list[str]:
    """Addresses of a few nodes that answer at the node port: with externalTrafficPolicy Local, nodes with a pod."""
    local = service.external_traffic_policy == "Local"
    with_pod = {backend.node for backend in backends_of(context, service, port)}
    nodes = [node for name, node in sorted(context.snapshot.nodes.items()) if not local or name in with_pod]
    of_service = families(service)
    return [ip for node in nodes[:MOST_NODES] for ip in node.internal_ips if _family_of(ip) in of_service]


def families(service: Service) -> tuple[str, ...]:
    return service.ip_families or tuple(dict.fromkeys(map(_family_of, service.cluster_ips))) or ANY


def _ingress_point(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    """An Ingress or a Gateway: the proxy answers there, and its Service publishes the same address."""
    proxies = [
        service
        for services in context.snapshot.services.values()
        for _, service in sorted(services.items())
        if service.type == "LoadBalancer" and not set(exposure.addresses).isdisjoint(map(str, service.published))
    ]
    name = f"{exposure.namespace}/{exposure.name}"
    for address in exposure.addresses:
        for number in dict.fromkeys(port.port for port in exposure.ports if port.protocol == "TCP"):
            for proxy in proxies:
                port = next((port for port in proxy.ports if (port.port, port.protocol) == (number, "TCP")), None)
                if port is not None and address in map(str, proxy.published):
                    backends = _of_family(context, proxy, port, address)
                    yield _target(name, proxy, "LoadBalancer", address, number, port, backends)
                    break


def _inside(context: VerificationContext, service: Service, exposure: str) -> Iterator[Target]:
    for port in service.ports:
        by_family = {family_: backends_of(context, service, port, family_) for family_ in families(service)}
        for address in service.cluster_ips:
            if (own := parsed(address)) is not None:
                behind = by_family.get(family(own), ())
                yield _target(exposure, service, "ClusterIP", address, port.port, port, behind)
        for backends in by_family.values():
            for backend in [backend for backend in backends if backend.address][:MOST_PODS]:
                yield _target(exposure, service, "Pod", backend.address, backend.port, port, (backend,))


def _target(
    exposure: str,
    service: Service,
    entry_point: str,
    address: str,
    number: int,
    port: ServicePort,
    backends: tuple[ReadyEndpoint, ...],
) -> Target:
    return Target(
        exposure,
        service.namespace,
        service.name,
        entry_point,
        address,
        number,
        port.protocol,
        backends,
        service_port=port.port,
        node_port=port.node_port,
    )


def _of_family(
    context: VerificationContext, service: Service, port: ServicePort, address: str
) -> tuple[ReadyEndpoint, ...]:
    own = parsed(address)
    return backends_of(context, service, port, family(own) if own is not None else None)


def backends_of(
    context: VerificationContext, service: Service, port: ServicePort, only_family: str | None = None
) -> tuple[ReadyEndpoint, ...]:
    """The ready endpoints behind a Service port, in one family or in all; where there are none, a stand-in."""
    pods = context.snapshot.pods.get(service.namespace, {})
    backends = set()
    for endpoint_slice in context.snapshot.endpoint_slices.get(service.namespace, {}).values():
        if endpoint_slice.service != service.name or only_family not in (None, endpoint_slice.address_type):
            continue
        ports = [p for p in endpoint_slice.ports if (p.name, p.protocol) == (port.name, port.protocol)]
        numbers = [p.port for p in ports if p.port]
        for endpoint in endpoint_slice.endpoints:
            if endpoint.ready and endpoint.addresses:
                pod = pods.get(endpoint.pod)
                node = endpoint.node or (pod.node if pod else "")
                backends |= {ReadyEndpoint(endpoint.addresses[0], number, node, pod) for number in numbers}
    in_order = sorted(backends, key=lambda backend: (backend.address, backend.port))
    return tuple(in_order) or (_stand_in(service, port),)


def _stand_in(service: Service, port: ServicePort) -> ReadyEndpoint:
    """A pod as the selector describes it, so that policies can be evaluated although no pod is ready."""
    number = port.target_port if isinstance(port.target_port, int) else 0
    named = (ContainerPort(port.target_port, port.protocol, number),) if isinstance(port.target_port, str) else ()
    return ReadyEndpoint("", number, pod=Pod(service.namespace, "", labels=service.selector or (), ports=named))


def _family_of(text: str) -> str:
    own = parsed(text)
    return family(own) if own is not None else ""
