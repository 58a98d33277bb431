"""The objects of a cluster into a `Snapshot`, with the rights and the connection of a kubeconfig.

One list of each kind, in pages. Nothing is watched, and nothing is written but the probe pods of `verify`.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client
from urllib3.exceptions import HTTPError

from exposure.cli.command import UsageError
from exposure.cli.documents import documents
from exposure.cli.gathering import Gathering
from exposure.cli.kubeconfig import configure
from exposure.cli.offline import config_of
from exposure.cli.terminal import warn
from exposure.fields import mapping, objects, text
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.paging import NotAList, Pager
from exposure.parse.kinds import API_GROUP, KINDS, Kind

AT_ONCE = 6
#: To connect and to read, seconds.
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
#: The operator's Deployment and its ConfigMap have one name.
OPERATOR, CONFIG_KEY = "exposure-operator", "config.yaml"

#: Why there is no answer, by the name of urllib3's exception.
NO_ANSWER_REASONS: Mapping[str, str] = {
    "LocationParseError": "it is not a URL such as https://203.0.113.1:6443",
    "LocationValueError": "it is not a URL such as https://203.0.113.1:6443",
    "NameResolutionError": "its name cannot be resolved",
    "ConnectTimeoutError": f"no connection within {CONNECT_SECONDS:.0f} s",
    "ReadTimeoutError": f"no response within {READ_SECONDS:.0f} s",
    "NewConnectionError": "the connection is refused, or there is no route",
    "SSLError": "TLS fails: a certificate is not accepted, or the server does not use TLS",
    "ProxyError": "the proxy cannot connect to it",
}
CONNECTION_BROKEN = "the connection was interrupted"
NOT_AN_API_SERVER = "Check that the server of the kubeconfig's context is a Kubernetes API server."


class Cluster:
    """A connection as kubectl makes it, with `kubeconfig` and `context`; inside a pod, with its service account."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
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
        status, config_map = self.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{OPERATOR}")
        if status not in (200, 404):
            warn(
                f"The operator's ConfigMap {namespace}/{OPERATOR} cannot be read ({_reason(status, config_map)}), so "
                "the default configuration is used. Set the configuration with --config."
            )
        written = text(mapping(config_map, "data"), CONFIG_KEY)
        return config_of(documents(written, f"ConfigMap {namespace}/{OPERATOR}, {CONFIG_KEY}"), namespace)

    def operator_image(self, namespace: str) -> str:
        """The image that the operator in `namespace` runs with, for pods beside it."""
        status, deployment = self.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{OPERATOR}")
        pod = mapping(mapping(mapping(deployment, "spec"), "template"), "spec")
        image = next((text(container, "image") for container in objects(pod, "containers")), "")
        if not image:
            raise UsageError(
                f"The image for the probe pods is not known: Deployment {namespace}/{OPERATOR} cannot be read "
                f"({_reason(status, deployment)}). Set --image, or use --from outside, which needs no pods."
            )
        return image

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One request: the status, whatever it is, and the answer, empty where it is no JSON object.

        UsageError where the server does not answer.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = self._client.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = self._client.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
            answer = response.read()
        except (HTTPError, OSError, client.ApiException) as error:
            raise UsageError(
                f"The cluster at {self.server} does not answer: {_no_answer(error)}. Check the server of the "
                "kubeconfig's context and the network to it."
            ) from error
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        return response.status, document if isinstance(document, dict) else {}

    def _list(self, kind: Kind) -> list[dict[str, Any]]:
        for version in kind.versions:
            items = self._items(kind, version)
            if items is not None:
                return items
        if kind.optional or kind.group == API_GROUP:  # The map is of use before our CRDs are installed.
            return []
        raise UsageError(
            f"{kind.kind} objects cannot be listed: {self.server} answers 404 to GET {kind.path(kind.versions[0])}. "
            f"The map needs them. {NOT_AN_API_SERVER}"
        )

    def _items(self, kind: Kind, version: str) -> list[dict[str, Any]] | None:
        """Every object of a kind; None where the API is not served in that version."""
        path, of_kind = kind.path(version), f"{kind.kind} objects cannot be listed"
        pager: Pager[dict[str, Any]] = Pager(kind.kind, dict)
        while pager.query is not None:
            status, page = self.request("GET", path, query=pager.query)
            match status:
                case 200:
                    try:
                        pager.add(page)
                    except NotAList as error:
                        raise UsageError(
                            f"{of_kind}: the answer of {self.server} to GET {path} is not a JSON object with items. "
                            f"{NOT_AN_API_SERVER}"
                        ) from error
                case 404:
                    return None
                case 410:
                    if not pager.expired():
                        raise UsageError(
                            f"{of_kind}: the list expired at the API server before it was read in full. Try again."
                        )
                case 401:
                    raise UsageError(
                        f"The cluster at {self.server} does not accept these credentials (401 Unauthorized). Log in "
                        "again, or use another --context."
                    )
                case 403:
                    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
                    raise UsageError(
                        f"You may not list {resource} in all namespaces ({_reason(status, page)}). Ask for the verb "
                        f"list on {resource}. ClusterRole exposure-operator-map grants it."
                    )
                case _:
                    raise UsageError(
                        f"{of_kind}: {self.server} answers {status} to GET {path} ({_reason(status, page)}). Try again."
                    )
        return pager.items


def _reason(status: int, answer: dict[str, Any]) -> str:
    """The reason that the API server gives, without a full stop."""
    return text(answer, "message").rstrip(".") or f"status {status}, no reason given"


def _no_answer(error: BaseException | None) -> str:
    """From the first exception with a name that says it: urllib3 wraps one into another."""
    while error is not None:
        if type(error).__name__ in NO_ANSWER_REASONS:
            return NO_ANSWER_REASONS[type(error).__name__]
        wrapped = getattr(error, "reason", None)
        error = wrapped if isinstance(wrapped, BaseException) else error.__cause__
    return CONNECTION_BROKEN
