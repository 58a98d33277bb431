"""The objects of a cluster into a `Snapshot`, with the rights and the connection of a kubeconfig.

One list of each kind, in pages. Nothing is watched, and nothing is written but the probe pods of `verify`.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from exposure.cli.command import UsageError
from exposure.cli.documents import documents
from exposure.cli.gathering import Gathering
from exposure.cli.kubeconfig import configure
from exposure.cli.terminal import warn
from exposure.fields import BadField, mapping, text
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.paging import NotAList, Pager
from exposure.parse.config import config as parse_config
from exposure.parse.kinds import API_GROUP, KINDS, Kind

AT_ONCE = 6
#: To connect and to read, seconds.
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
CONFIG_MAP, CONFIG_KEY = "exposure-operator", "config.yaml"

NO_ANSWER = (
    "The cluster at {server} does not answer: {reason}. Check the server of the kubeconfig's context, and the "
    "network to it."
)
NO_ANSWER_REASONS: Mapping[str, str] = {
    "NameResolutionError": "its name cannot be resolved",
    "ConnectTimeoutError": f"no connection within {CONNECT_SECONDS:.0f} s",
    "ReadTimeoutError": f"no response within {READ_SECONDS:.0f} s",
    "NewConnectionError": "the connection is refused, or there is no route",
    "SSLError": "TLS fails, because a certificate is not accepted or the server does not speak TLS",
    "ProxyError": "the proxy does not connect to it",
}
CONNECTION_BROKEN = "the connection breaks off"
NOT_ACCEPTED = (
    "The cluster at {server} does not accept these credentials (401 Unauthorized). Log in again, or give another "
    "--context."
)
MAY_NOT_LIST = (
    "You may not list {resource} in all namespaces ({reason}). Ask for the verb list on {resource}, as ClusterRole "
    "exposure-operator-map has it."
)
NOT_LISTED = "{kind} objects cannot be listed: {server} answers {status} to GET {path} ({reason}). Try again."
NOT_SERVED = (
    "{kind} objects cannot be listed: {server} answers 404 to GET {path}. Without them there is no map. Check that the "
    "server of the kubeconfig's context is a Kubernetes API server."
)
NO_LIST = (
    "{kind} objects cannot be listed: what {server} answers to GET {path} is no JSON object with items. Check that the "
    "server of the kubeconfig's context is a Kubernetes API server."
)
LIST_EXPIRED = "{kind} objects cannot be listed: reading the list took longer than the API server keeps it. Try again."
DEFAULT_CONFIGURATION = (
    "The operator's ConfigMap {name} cannot be read ({reason}), so the default configuration is assumed. Give it with "
    "--config."
)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """`body` None: it is no JSON object."""

    status: int
    body: dict[str, Any] | None

    @property
    def message(self) -> str:
        """The reason that the API server gives, without a full stop."""
        return text(self.body or {}, "message").rstrip(".") or f"status {self.status}, no reason given"


class Cluster:
    """A connection as kubectl makes it, with `kubeconfig` and `context`; inside a pod, with its service account."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        # Importing the client's models takes most of a second, which reading files need not wait for.
        from kubernetes import client

        configuration = client.Configuration()
        self.namespace = configure(configuration, kubeconfig, context)
        self.server: str = configuration.host
        configuration.retries = 1
        configuration.connection_pool_maxsize = AT_ONCE
        self._client = client.ApiClient(configuration)

    def snapshot(self, config: Config) -> Snapshot:
        """Everything that planning reads. UsageError names verb and resource where a right is missing."""
        gathering = Gathering()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for kind, items in zip(KINDS, pool.map(self._list, KINDS), strict=True):
                for raw in items:
                    gathering.keep(kind, kind.parse(raw))
        return gathering.snapshot(config)

    def config(self, namespace: str) -> Config:
        """The configuration of the operator in `namespace`; the defaults where there is none that can be read."""
        response = self.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG_MAP}")
        name = f"{namespace}/{CONFIG_MAP}"
        if response.status not in (200, 404):
            warn(DEFAULT_CONFIGURATION.format(name=name, reason=response.message))
        written = text(mapping(response.body or {}, "data"), CONFIG_KEY) if response.status == 200 else ""
        for document in documents(written, f"ConfigMap {name}, {CONFIG_KEY}"):
            try:
                return parse_config(document.content, namespace)
            except BadField as error:
                raise UsageError(f"{document.place(error.field)}: {error}") from error
        return Config(operator_namespace=namespace)

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> ApiResponse:
        """One request, whatever the server answers. UsageError where it does not answer."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = self._client.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = self._client.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
            return ApiResponse(response.status, _json_object(response.read()))
        except (HTTPError, OSError, ApiException) as error:
            raise UsageError(NO_ANSWER.format(server=self.server, reason=_reason(error))) from error

    def _list(self, kind: Kind) -> list[dict[str, Any]]:
        for version in kind.versions:
            items = self._items(kind, version)
            if items is not None:
                return items
        if kind.optional or kind.group == API_GROUP:  # The map is of use before our CRDs are installed.
            return []
        raise UsageError(NOT_SERVED.format(kind=kind.kind, server=self.server, path=kind.path(kind.versions[0])))

    def _items(self, kind: Kind, version: str) -> list[dict[str, Any]] | None:
        """Every object of a kind; None where the API is not served in that version."""
        path = kind.path(version)
        pager: Pager[dict[str, Any]] = Pager(kind.kind, dict)
        while pager.query is not None:
            response = self.request("GET", path, query=list(pager.query.items()))
            match response.status:
                case 200:
                    try:
                        pager.add(response.body or {})
                    except NotAList as error:
                        raise UsageError(NO_LIST.format(kind=kind.kind, server=self.server, path=path)) from error
                case 404:
                    return None
                case 410:
                    if not pager.expired():
                        raise UsageError(LIST_EXPIRED.format(kind=kind.kind))
                case 401:
                    raise UsageError(NOT_ACCEPTED.format(server=self.server))
                case 403:
                    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
                    raise UsageError(MAY_NOT_LIST.format(resource=resource, reason=response.message))
                case status:
                    fields = {"kind": kind.kind, "server": self.server, "status": status, "path": path}
                    raise UsageError(NOT_LISTED.format(**fields, reason=response.message))
        return pager.items


def _reason(error: BaseException) -> str:
    """Why there is no answer, from the first exception with a name that says it: urllib3 wraps one into another."""
    wrapped: BaseException | None = error
    while wrapped is not None:
        if type(wrapped).__name__ in NO_ANSWER_REASONS:
            return NO_ANSWER_REASONS[type(wrapped).__name__]
        wrapped = getattr(wrapped, "reason", None) or wrapped.__cause__
        wrapped = wrapped if isinstance(wrapped, BaseException) else None
    return CONNECTION_BROKEN


def _json_object(body: object) -> dict[str, Any] | None:
    try:
        document = json.loads(body) if isinstance(body, str | bytes) else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
