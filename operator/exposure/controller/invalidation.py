"""Which events affect the facts of the whole cluster, and not only their own namespace: then the facts are stale."""

from collections.abc import Iterable
from typing import Any

from exposure.controller.tables import Key
from exposure.model.objects import EndpointSlice, Pod, Service
from exposure.model.snapshot import Snapshot
from exposure.parse.kinds import Kind
from exposure.resolve.detection import is_agent_namespace
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import gateways_of

#: The namespaces of DNS and of the API server, on whose Services and endpoints all others depend.
SHARED = frozenset({"kube-system", "openshift-dns", "default"})


class Invalidation:
    """Answers by the facts that were worked out last."""

    def __init__(self, facts: ClusterFacts) -> None:
        self._facts = facts
        points = [point for points in facts.ingress_points.values() for point in points]
        self._has_ingress_points = bool(points)
        self._proxy_namespaces = frozenset(point.proxy.service.namespace for point in points if point.proxy.service)
        self._shown_in: dict[str, set[str]] = {}
        for point in points:
            for route in point.routes:
                if route.backend.service.namespace != point.ref.namespace:
                    self._shown_in.setdefault(route.backend.service.namespace, set()).add(point.ref.namespace)

    def shown_in(self, namespace: str) -> Iterable[str]:
        """The other namespaces that have an ingress point whose Exposure shows backends in this one."""
        return self._shown_in.get(namespace, ())

    def affects_facts(self, kind: Kind, key: Key, before: Any, after: Any, snapshot: Snapshot) -> bool:
        """`before` and `after`: the object's value, None where it does not exist."""
        match kind.kind:
            case "Service":
                return key[0] in SHARED or self._may_be_proxy(before) or self._may_be_proxy(after)
            case "Pod" | "EndpointSlice":
                return (
                    key[0] in SHARED
                    or key[0] in self._proxy_namespaces
                    or is_agent_namespace(key[0])
                    or self._moves_pod_ranges(before, after, snapshot)
                )
            case "NetworkPolicy" | "ExposurePolicy" | "Exposure":
                return False
        return True

    def _may_be_proxy(self, service: Service | None) -> bool:
        if not self._has_ingress_points or service is None:
            return False
        return service.type == "LoadBalancer" or bool(gateways_of(service))

    def _moves_pod_ranges(self, before: Any, after: Any, snapshot: Snapshot) -> bool:
        """Whether a pod address comes or goes that the known pod ranges do not account for."""
        nodes = self._facts.node_addresses
        old, new = set(_addresses(before)) - nodes, set(_addresses(after)) - nodes
        return old != new and self._facts.pod_ranges.changed_by(new - old, old - new, snapshot)


def _addresses(value: Pod | EndpointSlice | None) -> Iterable[str]:
    match value:
        case Pod():
            return () if value.host_network or value.finished else value.ips
        case EndpointSlice():
            return [ip for endpoint in value.endpoints if endpoint.pod for ip in endpoint.addresses]
    return ()
