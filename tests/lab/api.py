"""Calls the API server of a lab. Only the connection is made inside the lab's network."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.lab.netns import Netns

TIMEOUT_SECONDS = 30.0
FIELD_MANAGER = "lab"

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "IPAddressPool": "/apis/metallb.io/v1beta1/namespaces/{}/ipaddresspools",
    "L2Advertisement": "/apis/metallb.io/v1beta1/namespaces/{}/l2advertisements",
    "ExposurePolicy": "/apis/exposure.dev/v1alpha1/namespaces/{}/exposurepolicies",
    "ClusterExposurePolicy": "/apis/exposure.dev/v1alpha1/clusterexposurepolicies",
    "Exposure": "/apis/exposure.dev/v1alpha1/namespaces/{}/exposures",
}


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class _Inside(http.client.HTTPSConnection):
    """An HTTPS connection whose socket belongs to a namespace."""

    def __init__(self, host: Netns, url: str, context: ssl.SSLContext) -> None:
        where = urlsplit(url)
        super().__init__(where.hostname or "", where.port, timeout=TIMEOUT_SECONDS, context=context)
        self._netns = host

    def connect(self) -> None:
        with self._netns.inside():
            super().connect()


class Api:
    """Calls as cluster administrator, from any thread: each has a connection of its own."""

    def __init__(self, host: Netns, url: str, token: str, ca_file: str) -> None:
        self._host, self._url = host, url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._context = ssl.create_default_context(cafile=ca_file)
        self._local = threading.local()

    def call(self, verb: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        """One request, and its answer as parsed JSON. Raises ApiError for every status from 400 up."""
        text = None if body is None else json.dumps(body)
        headers = self._headers if body is None else {**self._headers, "Content-Type": content}
        for attempt in (1, 2):
            connection: _Inside | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _Inside(self._host, self._url, self._context)
            try:
                connection.request(verb, path, text, headers)
                answer = connection.getresponse()
                content_read = answer.read()
                break
            except (http.client.HTTPException, ConnectionError):
                connection.close()
                self._local.connection = None
                if attempt == 2:  # the first may only have met a connection that the server had closed meanwhile
                    raise
        parsed = json.loads(content_read)
        if answer.status >= 400:
            raise ApiError(answer.status, parsed.get("message", ""))
        return parsed

    def apply(self, manifest: Mapping[str, Any], subresource: str = "") -> Any:
        """Server-side apply; what the server holds afterwards."""
        path = f"{self._path(manifest)}/{manifest['metadata']['name']}{subresource}"
        return self.call(
            "PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", manifest, "application/apply-patch+yaml"
        )

    def get(self, kind: str, namespace: str, name: str) -> Any:
        """One object; ApiError 404 where there is none."""
        return self.call("GET", f"{_PATHS[kind].format(namespace)}/{name}")

    def list(self, kind: str, namespace: str = "") -> list[Any]:
        """Every object of a kind, in one namespace or in all."""
        path = _PATHS[kind].format(namespace) if namespace else _PATHS[kind].replace("/namespaces/{}", "")
        items: list[Any] = self.call("GET", path)["items"]
        return items

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete one object at once; nothing happens where there is none."""
        try:
            self.call("DELETE", f"{_PATHS[kind].format(namespace)}/{name}?gracePeriodSeconds=0")
        except ApiError as error:
            if error.status != 404:
                raise

    @staticmethod
    def _path(manifest: Mapping[str, Any]) -> str:
        return _PATHS[manifest["kind"]].format(manifest["metadata"].get("namespace", ""))
