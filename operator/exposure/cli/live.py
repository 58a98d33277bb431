"""A cluster's objects into a `World`, with the rights and the connection that the person's kubeconfig gives.

One list of each kind, in pages; nothing is watched and nothing is written.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from exposure.cli.command import Wrong
from exposure.cli.documents import documents
from exposure.cli.gathering import Gathering
from exposure.cli.terminal import warn
from exposure.fields import BadField
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.paging import NotAList, Pager
from exposure.parse.config import config as parse_config
from exposure.parse.kinds import KINDS, Kind

AT_ONCE = 6
#: Connect and read, seconds: a cluster that does not answer is told of within half a minute.
TIMEOUT = (10.0, 30.0)
CONFIG_MAP, CONFIG_KEY = "exposure-operator", "config.yaml"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any


class Cluster:
    """A connection as kubectl would make it: `kubeconfig` and `context` as there; inside a pod, its service account."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        # The client's models take most of a second to import, and offline nobody needs them.
        from kubernetes import client, config

        configuration = client.Configuration()
        # The client reads this variable once, when it is imported.
        kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")
        self.namespace = "default"
        try:
            try:
                config.load_kube_config(kubeconfig, context, client_configuration=configuration, persist_config=False)
                self.namespace = _context_namespace(kubeconfig, context)
            except config.ConfigException:
                if kubeconfig is not None or context is not None:
                    raise
                config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError, ValueError) as error:
            raise Wrong(
                f"no cluster to ask: {error}. Give --kubeconfig or --context, or -f to read manifests without a cluster"
            ) from error
        configuration.retries = 1
        configuration.connection_pool_maxsize = AT_ONCE
        self._client = client.ApiClient(configuration)

    def snapshot(self, config: Config) -> Snapshot:
        """Everything that planning reads. `Wrong` names verb and resource where a right is missing."""
        gathering = Gathering()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for kind, items in zip(KINDS, pool.map(self._list, KINDS), strict=True):
                for raw in items:
                    try:
                        gathering.keep(kind, kind.parse(raw))
                    except BadField as error:
                        # Not ours to judge here: the operator reports it, and goes on without it as well.
                        warn(f"{kind.kind} {_name(raw)} is passed over: {error}")
        return gathering.snapshot(config)

    def config(self, namespace: str) -> Config:
        """The configuration that the operator in `namespace` runs with; the defaults where there is none to be read."""
        answer = self._get(f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG_MAP}")
        if answer.status == 403:
            warn(
                f"may not get configmaps {namespace}/{CONFIG_MAP}, so the cluster's configuration is taken to be the "
                "default; give it with --config"
            )
        if answer.status != 200:
            return Config(operator_namespace=namespace)
        written = (answer.body.get("data") or {}).get(CONFIG_KEY) or ""
        source = f"ConfigMap {namespace}/{CONFIG_MAP}, {CONFIG_KEY}"
        for document in documents(written, source):
            try:
                return parse_config(document.content, namespace)
            except BadField as error:
                raise Wrong(f"{document.place(error.field)}: {error}") from error
        return Config(operator_namespace=namespace)

    def _list(self, kind: Kind) -> list[dict[str, Any]]:
        for version in kind.versions:
            found = self._pages(kind, version)
            if found is not None:
                return found
        return []

    def _pages(self, kind: Kind, version: str) -> list[dict[str, Any]] | None:
        """Every item, or None where the API is not served in that version."""
        pager: Pager[dict[str, Any]] = Pager(kind.kind, dict)
        while pager.query is not None:
            answer = self._get(kind.path(version), list(pager.query.items()))
            match answer.status:
                case 200:
                    try:
                        pager.add(answer.body)
                    except NotAList as error:
                        raise Wrong(f"listing {kind.plural}: {error}") from error
                case 404:
                    return None
                case 410 if pager.expired():
                    continue
                case 401:
                    raise Wrong("the cluster does not accept these credentials (401 Unauthorized)")
                case 403:
                    resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
                    raise Wrong(
                        f"may not list {resource} in all namespaces; a ClusterRole with the verb list on {resource} is "
                        f"needed ({_message(answer.body)})"
                    )
                case status:
                    raise Wrong(f"listing {kind.plural}: the API server answers {status} ({_message(answer.body)})")
        return pager.items

    def _get(self, path: str, query: list[tuple[str, str]] | None = None) -> Answer:
        from urllib3.exceptions import HTTPError

        request = self._client.param_serialize(
            "GET",
            path,
            query_params=query or [],
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=TIMEOUT)
            return Answer(response.status, _json(response.read()))
        except (HTTPError, OSError) as error:
            raise Wrong(f"the cluster at {self._client.configuration.host} does not answer: {error}") from error


def _context_namespace(kubeconfig: str | None, context: str | None) -> str:
    from kubernetes import config

    contexts, active = config.list_kube_config_contexts(kubeconfig)
    chosen = next((each for each in contexts if each["name"] == context), active)
    return (chosen.get("context") or {}).get("namespace") or "default"


def _json(body: object) -> Any:
    try:
        found = json.loads(body) if isinstance(body, str | bytes) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(body: Any) -> str:
    return str(body.get("message") or "no reason given")


def _name(raw: dict[str, Any]) -> str:
    metadata = raw.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}".strip("/")
