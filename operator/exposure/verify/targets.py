"""What to connect to: addresses of entry points from outside, pods and ClusterIPs behind them from inside. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from exposure.addresses import address as parsed
from exposure.addresses import family
from exposure.model.exposures import Exposure
from exposure.model.objects import ContainerPort, Pod, Ref, Service, ServicePort
from exposure.verify.context import VerificationContext
from exposure.verify.values import ReadyEndpoint, Target

#: How many nodes' node ports are tried, and how many pods of one Service by their own address.
MOST_NODES = 3
MOST_PODS = 2


def outside_targets(context: VerificationContext, exposures: Iterable[Exposure]) -> list[Target]:
    """Each address and port of each entry point, in order, each once."""
    return _each_once(target for exposure in exposures for target in _entry_point(context, exposure))


def inside_targets(context: VerificationContext, exposures: Sequence[Exposure]) -> list[Target]:
    """Pods by their own addresses, and ClusterIPs: behind each entry point, and of the namespace's other Services."""
    services, exposure_of = context.snapshot.services, dict[Ref, str]()
    for exposure in exposures:
        for backend in exposure.backends:
            exposure_of.setdefault(backend.service, str(exposure.ref))
    for namespace in sorted({exposure.namespace for exposure in exposures}):
        for name in sorted(services.get(namespace, {})):
            exposure_of.setdefault(Ref(namespace, name), f"{namespace}/(no entry point)")
    targets: list[Target] = []
    for ref, of_exposure in exposure_of.items():
        service = services.get(ref.namespace, {}).get(ref.name)
        if service is not None and service.selector:
            targets += _inside(context, service, of_exposure)
    return _each_once(targets)


def _each_once(targets: Iterable[Target]) -> list[Target]:
    """The first target of each address, port and protocol."""
    first: dict[tuple[str, int, str], Target] = {}
    for target in targets:
        first.setdefault((target.address, target.port, target.protocol), target)
    return list(first.values())


def _entry_point(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    if exposure.owner.kind != "Service":
        yield from _ingress_point(context, exposure)
        return
    name = str(exposure.ref)
    service = context.snapshot.services[exposure.namespace][exposure.owner.name]
    for port in service.ports:
        for entry_point, address, number in _addresses(context, exposure, service, port):
            backends = backends_of(context, service, port, _family_of(address))
            yield Target(name, service, port, entry_point, address, number, backends)


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
            listening = (backend.port, port.protocol)
            for container_port in backend.pod.ports:
                if container_port.host_port and (container_port.port, container_port.protocol) == listening:
                    for address in node.internal_ips[:1] if node is not None else ():
                        yield "HostPort", address, container_port.host_port


def node_addresses(context: VerificationContext, service: Service, port: ServicePort) -> list[str]:
    """Addresses of a few nodes that answer at the node port: with externalTrafficPolicy Local, nodes with a pod."""
    local = service.external_traffic_policy == "Local"
    with_pod = {backend.node for backend in backends_of(context, service, port)}
    nodes = [node for name, node in sorted(context.snapshot.nodes.items()) if not local or name in with_pod]
    families = _families(service)
    return [ip for node in nodes[:MOST_NODES] for ip in node.internal_ips if _family_of(ip) in families]


def _families(service: Service) -> tuple[str, ...]:
    return service.ip_families or tuple(dict.fromkeys(map(_family_of, service.cluster_ips))) or ("IPv4", "IPv6")


def _family_of(text: str) -> str:
    """Empty for a host name."""
    address = parsed(text)
    return family(address) if address is not None else ""


def _ingress_point(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    """An Ingress or a Gateway: the proxy answers there, and its Service publishes the same address."""
    proxies: dict[tuple[str, int], tuple[Service, ServicePort]] = {}
    for services in context.snapshot.services.values():
        for _, service in sorted(services.items()):
            for published, port in product(service.published, service.ports):
                if service.type == "LoadBalancer" and port.protocol == "TCP":
                    proxies.setdefault((str(published), port.port), (service, port))
    numbers = dict.fromkeys(port.port for port in exposure.ports if port.protocol == "TCP")
    for address, number in product(exposure.addresses, numbers):
        if (address, number) in proxies:
            service, port = proxies[address, number]
            backends = backends_of(context, service, port, _family_of(address))
            name = str(exposure.ref)
            yield Target(name, service, port, "LoadBalancer", address, number, backends)


def _inside(context: VerificationContext, service: Service, exposure: str) -> Iterator[Target]:
    for port in service.ports:
        by_family = {name: backends_of(context, service, port, name) for name in _families(service)}
        for address in service.cluster_ips:
            if parsed(address) is not None:
                backends = by_family.get(_family_of(address), ())
                yield Target(exposure, service, port, "ClusterIP", address, port.port, backends)
        for backends in by_family.values():
            for backend in [backend for backend in backends if backend.address][:MOST_PODS]:
                yield Target(exposure, service, port, "Pod", backend.address, backend.port, (backend,))


def backends_of(
    context: VerificationContext, service: Service, port: ServicePort, only_family: str = ""
) -> tuple[ReadyEndpoint, ...]:
    """The ready endpoints behind a Service port, in one family or in all; where there are none, a stand-in."""
    pods = context.snapshot.pods.get(service.namespace, {})
    backends = set()
    for endpoint_slice in context.snapshot.slices_of(service.ref):
        if only_family not in ("", endpoint_slice.address_type):
            continue
        ports = [p for p in endpoint_slice.ports if (p.name, p.protocol) == (port.name, port.protocol)]
        numbers = [p.port for p in ports if p.port]
        for endpoint in endpoint_slice.endpoints:
            if endpoint.ready and endpoint.addresses:
                address = endpoint.addresses[0]
                pod = pods.get(endpoint.pod, Pod(service.namespace, "", ips=(address,)))
                node = endpoint.node or pod.node
                backends |= {ReadyEndpoint(address, number, port.protocol, node, pod) for number in numbers}
    in_order = sorted(backends, key=lambda backend: (backend.address, backend.port))
    return tuple(in_order) or (_stand_in(service, port),)


def _stand_in(service: Service, port: ServicePort) -> ReadyEndpoint:
    """A pod as the selector describes it, so that policies can be evaluated although no pod is ready."""
    number = port.target_port if isinstance(port.target_port, int) else 0
    named = (ContainerPort(port.target_port, port.protocol, number),) if isinstance(port.target_port, str) else ()
    pod = Pod(service.namespace, "", labels=service.selector or (), ports=named)
    return ReadyEndpoint("", number, port.protocol, "", pod)
