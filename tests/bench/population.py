"""The cluster that is measured: Services of type LoadBalancer, an ExposurePolicy in each namespace, and a few nodes."""

import asyncio
from collections.abc import Iterator

from tests.bench.api import Api, Object

NODES = 10
CLIENTS = ["198.51.100.0/24", "203.0.113.0/24"]
CONFIG = """\
network:
  cni: kube-router
  podCIDRs: [10.244.0.0/16]
"""


def namespaces(count: int) -> list[str]:
    return [f"team-{number:03}" for number in range(count)]


def services(count: int, of: list[str]) -> list[Object]:
    """Spread evenly, so that the first namespaces have one more where it does not come out even."""
    return [service(of[number % len(of)], f"web-{number // len(of):03}") for number in range(count)]


def service(namespace: str, name: str) -> Object:
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
        {"name": "https", "port": 443, "targetPort": "tls", "protocol": "TCP"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": ports},
    }


def endpoint_slice(of: Object) -> Object:
    """The empty EndpointSlice that the controller would make for a Service without pods."""
    namespace, name = of["metadata"]["namespace"], of["metadata"]["name"]
    labels = {
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": f"{name}-x7k2p", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [],
        "ports": [],
    }


def exposure_policy(namespace: str) -> Object:
    return {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "ExposurePolicy",
        "metadata": {"namespace": namespace, "name": "edge"},
        "spec": {"clients": {"cidrs": CLIENTS}},
    }


def _nodes() -> Iterator[Object]:
    for number in range(NODES):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{number}"},
            "spec": {"podCIDR": f"10.244.{number}.0/24", "podCIDRs": [f"10.244.{number}.0/24"]},
        }


async def populate(api: Api, teams: list[str], made: list[Object]) -> None:
    """Everything that a cluster holds before the operator is started for the first time."""
    await api.all("POST", (("/api/v1/nodes", node) for node in _nodes()))
    for number in range(NODES):
        status = {"status": {"addresses": [{"type": "InternalIP", "address": f"192.0.2.{10 + number}"}]}}
        await api.call("PATCH", f"/api/v1/nodes/node-{number}/status", status, "application/merge-patch+json")
    heads = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in teams)
    await api.all("POST", (("/api/v1/namespaces", manifest) for manifest in heads))
    await api.all(
        "POST", ((f"/api/v1/namespaces/{manifest['metadata']['namespace']}/services", manifest) for manifest in made)
    )
    slices = [endpoint_slice(manifest) for manifest in made]
    path = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
    await api.all("POST", ((path.format(manifest["metadata"]["namespace"]), manifest) for manifest in slices))
    path = "/apis/exposure.dev/v1alpha1/namespaces/{}/exposurepolicies"
    await api.all("POST", ((path.format(name), exposure_policy(name)) for name in teams))


async def clear(api: Api, teams: list[str]) -> None:
    """Deletes what was written, status too, so that the next start is a first one."""
    for group in ("networking.k8s.io/v1", "exposure.dev/v1alpha1"):
        plural = "networkpolicies" if group.startswith("networking") else "exposures"
        await api.all("DELETE", ((f"/apis/{group}/namespaces/{name}/{plural}", None) for name in teams))
    root = "/apis/exposure.dev/v1alpha1/namespaces/{}/exposurepolicies"
    await api.all("DELETE", ((f"{root.format(name)}/edge", None) for name in teams))
    await api.all("POST", ((root.format(name), exposure_policy(name)) for name in teams))
    await asyncio.sleep(1)  # the server's own caches follow what was deleted
