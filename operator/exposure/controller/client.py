"""One HTTP client for the whole process. docs/adr/0008-requests-of-our-own.md says why it is not the typed one.

The `kubernetes` library loads credentials, refreshes tokens and makes the session. The requests are written here.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
from kubernetes.aio import config as library_config
from kubernetes.aio.client import ApiClient, Configuration
from yaml import YAMLError
from yarl import URL

from exposure.controller.errors import ApiError, CannotStart, Unreachable, api_error

Object: TypeAlias = dict[str, Any]

FIELD_MANAGER = "exposure-operator"
#: A write takes at most this long, here and on the server (`timeout=`). The lease must outlast it.
WRITE_SECONDS = 5.0
READ_SECONDS = 30.0
#: Bookmarks come about once a minute. A watch that is silent for longer is broken.
WATCH_SILENCE_SECONDS = 100.0
_TOKEN_SECONDS = 20.0
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_JSON = {"Content-Type": "application/json"}
_QUERY = {"fieldManager": FIELD_MANAGER, "timeout": f"{WRITE_SECONDS:.0f}s"}
#: asyncio.timeout bounds the whole call. A second timer for every request would only cost time.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
#: What the library raises where a kubeconfig is not made as it expects.
_BAD_FORM = (TypeError, AttributeError, KeyError)


async def connect(kubeconfig: str | None, context: str | None) -> "Client":
    """With the credentials of a kubeconfig and a context or, in a pod where neither is named, of its ServiceAccount.

    CannotStart where they cannot be read.
    """
    configuration = Configuration()
    in_pod = kubeconfig is None and context is None and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    source = "the pod's ServiceAccount" if in_pod else f"kubeconfig {files}"
    try:
        if in_pod:
            library_config.load_incluster_config(client_configuration=configuration)
        elif any(Path(file).expanduser().exists() for file in files.split(os.pathsep)):
            await library_config.load_kube_config(kubeconfig, context, configuration)
        else:
            raise FileNotFoundError("it does not exist")
        configuration.retries = False
        # Watches and writes share the session. The Writer bounds writes, and a watch must never wait for one.
        configuration.connection_pool_maxsize = 0
        configuration.client_session_kwargs = {"trust_env": False, "auto_decompress": True}
        return Client(configuration)
    except (*_BAD_FORM, library_config.ConfigException, OSError, ValueError, YAMLError) as error:
        reason = "it does not have the form of a kubeconfig" if isinstance(error, _BAD_FORM) else str(error).rstrip(".")
        cure = "Set --kubeconfig to a readable kubeconfig, and --context to one of its contexts."
        raise CannotStart(f"credentials cannot be read from {source}: {reason}. {cure}") from error


class Client:
    """Every request to the API server. Every failure is one of `errors`."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._api = ApiClient(configuration)
        self._session: aiohttp.ClientSession = self._api.rest_client._create_pool_manager()
        self._api.rest_client.pool_manager = self._session
        self._proxy: str | None = configuration.proxy
        self._host = str(configuration.host).rstrip("/")
        self._authorization: Mapping[str, str] = {}
        self._authorized_at = float("-inf")

    async def close(self) -> None:
        await self._api.close()

    async def get(self, path: str, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> Object:
        """An object, or one page of a collection as the API's List object."""
        return await self._call("GET", path, query, headers)

    async def apply(self, path: str, body: Object, *, force: bool = True) -> Object:
        """Server-side apply. Returns the object as it is now. Without `force`, another owner's field is a Conflict."""
        query = {**_QUERY, "force": "true" if force else "false"}
        return await self._call("PATCH", path, query, _APPLY, body)

    async def delete(self, path: str, uid: str) -> Object:
        """Deletes the object with this uid and no other. Returns its last state, or a Status."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        return await self._call("DELETE", path, {"timeout": _QUERY["timeout"]}, _JSON, body)

    async def send(self, method: str, path: str, body: Object) -> Object:
        """A plain POST or PUT."""
        return await self._call(method, path, _QUERY, _JSON, body)

    async def watch(self, path: str, resource_version: str, seconds: int) -> AsyncIterator[bytes]:
        """Lines of a watch, each one JSON event, until the server ends it. A half line at the end is dropped."""
        url = URL(self._host + path).with_query(
            watch="true", allowWatchBookmarks="true", resourceVersion=resource_version, timeoutSeconds=str(seconds)
        )
        timeout = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=10, sock_read=WATCH_SILENCE_SECONDS)
        request = f"WATCH {path}"
        try:
            async with self._session.get(
                url, headers=await self._headers(), timeout=timeout, proxy=self._proxy
            ) as response:
                if response.status != 200:
                    raise await self._error(response, request)
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk if rest else chunk).split(b"\n")
                    for line in lines:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(0, f"{type(error).__name__} {error}", request=request) from error

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: Object | None = None
    ) -> Object:
        request = f"{method} {path}"
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(READ_SECONDS if body is None else WRITE_SECONDS):
                response = await self._session.request(
                    method,
                    URL(self._host + path).with_query(query),
                    data=data,
                    headers={**await self._headers(), **headers},
                    timeout=_NO_TIMEOUT,
                    proxy=self._proxy,
                )
                if response.status >= 300:
                    raise await self._error(response, request)
                answer: Object = json.loads(await response.read())
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(0, f"{type(error).__name__} {error}", request=request) from error

    async def _headers(self) -> Mapping[str, str]:
        """The authorization header. The library reads a projected token again when it is rotated."""
        now = time.monotonic()
        if now - self._authorized_at > _TOKEN_SECONDS:
            value = await self.configuration.get_api_key_with_prefix("BearerToken")
            if not value and self.configuration.username:
                value = self.configuration.get_basic_auth_token()
            self._authorization = {"Authorization": value} if value else {}
            self._authorized_at = now
        return self._authorization

    async def _error(self, response: aiohttp.ClientResponse, request: str) -> ApiError:
        raw = await response.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw.decode(errors="replace")
        if response.status == 401:
            self._authorized_at = float("-inf")
        return api_error(response.status, body, request, response.headers.get("Retry-After"))
