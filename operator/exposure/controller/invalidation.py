"""Which events bear on the whole cluster, and not on their own namespace alone: for them the survey is made anew."""

from collections.abc import Iterable
from typing import Any

from exposure.controller.tables import Key
from exposure.model.objects import EndpointSlice, Pod, Service
from exposure.model.snapshot import Snapshot
from exposure.parse.kinds import Kind
from exposure.resolve.detection import is_agent_namespace
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import gateways_of

ALWAYS = frozenset(
    {"Namespace", "Node", "Ingress", "IngressClass", "Gateway", "GatewayClass", "ReferenceGrant", "IPPool"}
    | {"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "ClusterExposurePolicy"}
    | {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
)
#: Namespaces whose Services and endpoints everyone depends on: DNS, and the API server.
SHARED = frozenset({"kube-system", "openshift-dns", "default"})


class Invalidation:
    """Answers by what the last survey made of the cluster; before the first one, everything bears."""

    def __init__(self, facts: ClusterFacts | None) -> None:
        self._survey = facts
        fronts = [] if facts is None else [front for fronts in facts.ingress_points.values() for front in fronts]
        self._has_fronts = bool(fronts)
        self._proxies = frozenset(front.proxy.service.namespace for front in fronts if front.proxy.service)
        self._told: dict[str, set[str]] = {}
        for front in fronts:
            for grant in front.routes:
                if grant.backend.service.namespace != front.ref.namespace:
                    self._told.setdefault(grant.backend.service.namespace, set()).add(front.ref.namespace)

    def told_elsewhere(self, namespace: str) -> Iterable[str]:
        """Namespaces of entry points whose Exposure tells of backends in this one."""
        return self._told.get(namespace, ())

    def of(self, kind: Kind, key: Key, before: Any, after: Any, snapshot: Snapshot) -> bool:
        if self._survey is None or kind.kind in ALWAYS:
            return True
        match after if after is not None else before:
            case Service():
                return key[0] in SHARED or self._is_front(before) or self._is_front(after)
            case Pod() | EndpointSlice():
                return (
                    key[0] in SHARED
                    or key[0] in self._proxies
                    or is_agent_namespace(key[0])
                    or self._moves_pod_ranges(before, after, snapshot)
                )
        return False

    def _is_front(self, service: Service | None) -> bool:
        if not self._has_fronts or service is None:
            return False
        return service.type == "LoadBalancer" or bool(gateways_of(service))

    def _moves_pod_ranges(self, before: Any, after: Any, snapshot: Snapshot) -> bool:
        """Whether a pod address comes or goes that the known pod ranges do not account for."""
        assert self._survey is not None
        nodes = self._survey.node_addresses
        old, new = set(_addresses(before)) - nodes, set(_addresses(after)) - nodes
        return old != new and self._survey.pod_ranges.changed_by(new - old, old - new, snapshot)


def _addresses(of: Any) -> Iterable[str]:
    match of:
        case Pod():
            return () if of.host_network or of.finished else of.ips
        case EndpointSlice():
            return [ip for endpoint in of.endpoints if endpoint.pod for ip in endpoint.addresses]
    return ()
