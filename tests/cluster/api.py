"""Calls to the API server as its administrator, without the tenth of a second that starting kubectl takes."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from tests.cluster.control_plane import ControlPlane

Object = dict[str, Any]

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "ExposurePolicy": "/apis/exposure.dev/v1alpha1/namespaces/{}/exposurepolicies",
    "ClusterExposurePolicy": "/apis/exposure.dev/v1alpha1/clusterexposurepolicies",
    "Exposure": "/apis/exposure.dev/v1alpha1/namespaces/{}/exposures",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "Event": "/apis/events.k8s.io/v1/namespaces/{}/events",
}
_MERGE = "application/merge-patch+json"


class Api:
    """`create`, `patch`, `delete`, `get`, `items`; a refusal is an HTTPError with the server's message."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._trust = ssl.create_default_context(cafile=str(cluster.ca_file))

    def create(self, body: Object) -> Object:
        return self.call("POST", self._path(body["kind"], body["metadata"].get("namespace", "")), body)

    def patch(self, kind: str, namespace: str, name: str, change: Object, subresource: str = "") -> Object:
        """A JSON merge patch."""
        path = f"{self._path(kind, namespace)}/{name}" + (f"/{subresource}" if subresource else "")
        return self.call("PATCH", path, change, _MERGE)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        try:
            self.call("DELETE", f"{self._path(kind, namespace)}/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return self.call("GET", f"{self._path(kind, namespace)}/{name}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def items(self, kind: str, namespace: str = "") -> list[Object]:
        """All of one namespace, or of all."""
        path = self._path(kind, namespace) if namespace else _PATHS[kind].replace("/namespaces/{}", "")
        objects: list[Object] = self.call("GET", path)["items"]
        return objects

    def call(self, method: str, path: str, body: Object | None = None, content: str = "application/json") -> Object:
        request = urllib.request.Request(
            self._cluster.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._cluster.admin_token}", "Content-Type": content},
        )
        handler = urllib.request.HTTPSHandler(context=self._trust)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
        with opener.open(request, timeout=30) as answer:
            made: Object = json.loads(answer.read())
            return made

    def _path(self, kind: str, namespace: str) -> str:
        return _PATHS[kind].format(namespace)


def namespace(name: str, **annotations: str) -> Object:
    head = {"name": name, "annotations": {key.replace("__", "/"): value for key, value in annotations.items()}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": head}


def service(where: str, name: str, type: str = "LoadBalancer", port: int = 80, **spec: Any) -> Object:
    """A Service of pods app=NAME on port 8080."""
    ports = [{"name": "http", "port": port, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": where, "name": name},
        "spec": {"type": type, "selector": {"app": name}, "ports": ports, **spec},
    }


def exposure_policy(where: str, name: str = "edge", **spec: Any) -> Object:
    return {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "ExposurePolicy",
        "metadata": {"namespace": where, "name": name},
        "spec": spec,
    }


def cluster_exposure_policy(name: str, *namespaces: str, **spec: Any) -> Object:
    """One that selects namespaces by name."""
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}
    return {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "ClusterExposurePolicy",
        "metadata": {"name": name},
        "spec": {"namespaceSelector": {"matchExpressions": [names]}, **spec},
    }


def network_policy(where: str, name: str, **head: Any) -> Object:
    """A policy that denies all ingress. Its labels (in `head`) decide whether it is the operator's."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": where, "name": name, **head},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
