"""What to connect to: the entry points' addresses from outside, the pods and ClusterIPs behind them from inside. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from exposure.addresses import address as parsed
from exposure.addresses import family
from exposure.model.exposures import Exposure
from exposure.model.objects import ContainerPort, Pod, Ref, Service, ServicePort
from exposure.verify.context import VerificationContext
from exposure.verify.values import Backend, Target

#: Nodes whose node ports are tried, and pods of one Service that are tried by their own address.
MOST_NODES = 3
MOST_PODS = 2
ANY = ("IPv4", "IPv6")


def outside_targets(context: VerificationContext, exposures: Iterable[Exposure]) -> list[Target]:
    """Each address and port of each entry point, in order, none twice."""
    found = (target for exposure in exposures for target in _entry_point(context, exposure))
    return list({(each.address, each.port, each.protocol): each for each in reversed(list(found))}.values())[::-1]


def inside_targets(context: VerificationContext, exposures: Sequence[Exposure]) -> list[Target]:
    """The pods behind each entry point by their own addresses, its ClusterIPs, and the rooms beside: pods behind no entry point."""
    found: dict[tuple[str, int, str], Target] = {}
    behind: set[Ref] = set()
    for exposure in exposures:
        for service in _services(context, exposure):
            behind.add(service.ref)
            for target in _inside(context, service, f"{exposure.namespace}/{exposure.name}"):
                found.setdefault((target.address, target.port, target.protocol), target)
    for namespace in sorted({exposure.namespace for exposure in exposures}):
        for _, service in sorted(context.snapshot.services.get(namespace, {}).items()):
            if service.ref not in behind and service.selector:
                for target in _inside(context, service, f"{namespace}/(no entry point)"):
                    found.setdefault((target.address, target.port, target.protocol), target)
    return list(found.values())


def _services(context: VerificationContext, exposure: Exposure) -> Iterator[Service]:
    for ref in dict.fromkeys(backend.service for backend in exposure.backends):
        service = context.snapshot.services.get(ref.namespace, {}).get(ref.name)
        if service is not None and service.selector:
            yield service


def _entry_point(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    if exposure.owner.kind != "Service":
        yield from _front(context, exposure)
        return
    service = context.snapshot.services.get(exposure.namespace, {}).get(exposure.owner.name)
    if service is None:
        return
    name = f"{exposure.namespace}/{exposure.name}"
    for port in service.ports:
        for entry_point, address, number in _places(context, exposure, service, port):
            yield _target(
                name, service, entry_point, address, number, port, _of_family(context, service, port, address)
            )


def _places(
    context: VerificationContext, exposure: Exposure, service: Service, port: ServicePort
) -> Iterator[tuple[str, str, int]]:
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
            for each in backend.pod.ports if backend.pod and node else ():
                if each.host_port and (each.port, each.protocol) == (backend.port, port.protocol):
                    yield "HostPort", node.internal_ips[0] if node and node.internal_ips else "", each.host_port


def node_addresses(context: VerificationContext, service: Service, port: ServicePort) -> list[str]:
    """Addresses of a few nodes that answer for the node port: with Local, only those that have a pod."""
    local = service.external_traffic_policy == "Local"
    having = {each.node for each in backends_of(context, service, port)}
    nodes = [node for name, node in sorted(context.snapshot.nodes.items()) if not local or name in having]
    wanted = families(service)
    return [ip for node in nodes[:MOST_NODES] for ip in node.internal_ips if _family_of(ip) in wanted]


def families(service: Service) -> tuple[str, ...]:
    return service.ip_families or tuple(dict.fromkeys(map(_family_of, service.cluster_ips))) or ANY


def _front(context: VerificationContext, exposure: Exposure) -> Iterator[Target]:
    """An Ingress or a Gateway: who answers there is the proxy, whose Service publishes the same address."""
    proxies = [
        service
        for services in context.snapshot.services.values()
        for _, service in sorted(services.items())
        if service.type == "LoadBalancer" and {str(each) for each in service.published} & set(exposure.addresses)
    ]
    name = f"{exposure.namespace}/{exposure.name}"
    for address in exposure.addresses:
        for number in dict.fromkeys(port.port for port in exposure.ports if port.protocol == "TCP"):
            for proxy in proxies:
                port = next((each for each in proxy.ports if (each.port, each.protocol) == (number, "TCP")), None)
                if port is not None and address in {str(each) for each in proxy.published}:
                    backends = _of_family(context, proxy, port, address)
                    yield _target(name, proxy, "LoadBalancer", address, number, port, backends)
                    break


def _inside(context: VerificationContext, service: Service, exposure: str) -> Iterator[Target]:
    for port in service.ports:
        by_family = {each: backends_of(context, service, port, each) for each in families(service)}
        for address in service.cluster_ips:
            if (own := parsed(address)) is not None:
                behind = by_family.get(family(own), ())
                yield _target(exposure, service, "ClusterIP", address, port.port, port, behind)
        for backends in by_family.values():
            for backend in [each for each in backends if each.address][:MOST_PODS]:
                yield _target(exposure, service, "Pod", backend.address, backend.port, port, (backend,))


def _target(
    exposure: str,
    service: Service,
    entry_point: str,
    address: str,
    number: int,
    port: ServicePort,
    backends: tuple[Backend, ...],
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


def _of_family(context: VerificationContext, service: Service, port: ServicePort, address: str) -> tuple[Backend, ...]:
    own = parsed(address)
    return backends_of(context, service, port, family(own) if own is not None else None)


def backends_of(
    context: VerificationContext, service: Service, port: ServicePort, wanted: str | None = None
) -> tuple[Backend, ...]:
    """The ready endpoints behind a Service port, in one family or in all; a stand-in that is not ready for none."""
    pods = context.snapshot.pods.get(service.namespace, {})
    found = []
    for each in context.snapshot.endpoint_slices.get(service.namespace, {}).values():
        if each.service != service.name or (wanted is not None and each.address_type != wanted):
            continue
        numbers = [p.port for p in each.ports if (p.name, p.protocol) == (port.name, port.protocol) and p.port]
        for endpoint in each.endpoints:
            if endpoint.ready and endpoint.addresses:
                pod = pods.get(endpoint.pod)
                node = endpoint.node or (pod.node if pod else "")
                found += [Backend(endpoint.addresses[0], number, node, pod) for number in numbers]
    return tuple(sorted(set(found), key=lambda b: (b.address, b.port))) or (_stand_in(service, port),)


def _stand_in(service: Service, port: ServicePort) -> Backend:
    """A pod as the selector names it, which policies can be asked about, though nobody answers."""
    number = port.target_port if isinstance(port.target_port, int) else 0
    named = (ContainerPort(port.target_port, port.protocol, number),) if isinstance(port.target_port, str) else ()
    return Backend("", number, pod=Pod(service.namespace, "", labels=service.selector or (), ports=named))


def _family_of(text: str) -> str:
    own = parsed(text)
    return family(own) if own is not None else ""
