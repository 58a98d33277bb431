"""One client for the whole process: the configuration of `kubernetes.aio`, its session, and the calls that we make.

A server-side apply through the typed client costs 650–1,070 µs of CPU; straight through the session that `ApiClient`
keeps, a fraction. So the library loads credentials and refreshes tokens, and the requests are written here.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import aiohttp
from kubernetes.aio import config as loading
from kubernetes.aio.client import ApiClient, Configuration
from yarl import URL

from exposure.controller import errors

Object: TypeAlias = dict[str, Any]

FIELD_MANAGER = "exposure-operator"
#: A write takes at most this long, here and on the server (`timeout=`): the lease must outlast it.
WRITE_SECONDS = 5.0
READ_SECONDS = 30.0
#: Bookmarks come about once a minute; a watch that is silent for longer is dead.
WATCH_SILENCE_SECONDS = 100.0
_TOKEN_SECONDS = 20.0
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_JSON = {"Content-Type": "application/json"}
_QUERY = {"fieldManager": FIELD_MANAGER, "timeout": f"{WRITE_SECONDS:.0f}s"}


async def configuration(kubeconfig: str | None, context: str | None) -> Configuration:
    """Credentials: the files that are named, else those of the pod's ServiceAccount, else the usual kubeconfig."""
    found = Configuration()
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        loading.load_incluster_config(client_configuration=found)
    else:
        await loading.load_kube_config(config_file=kubeconfig, context=context, client_configuration=found)
    found.retries = False
    # Watches and writes share the session; writes are bounded elsewhere, and a watch must never wait for one.
    found.connection_pool_maxsize = 0
    found.client_session_kwargs = {"trust_env": False, "auto_decompress": True}
    return found


class Client:
    """`list_page`, `watch`, `apply`, `delete`, `send`; every failure is one of `errors`."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._api = ApiClient(configuration)
        self._rest = self._api.rest_client
        self._rest.pool_manager = self._rest._create_pool_manager()
        self._session: aiohttp.ClientSession = self._rest.pool_manager
        self._proxy: str | None = configuration.proxy
        self._host = str(configuration.host).rstrip("/")
        self._authorization: Mapping[str, str] = {}
        self._authorized_at = float("-inf")

    async def close(self) -> None:
        await self._api.close()

    async def list_page(self, path: str, limit: int, continue_token: str = "") -> Object:
        """One page of a collection, as the API's List object."""
        query = {"limit": str(limit), **({"continue": continue_token} if continue_token else {})}
        return await self._call("GET", path, query, READ_SECONDS)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Object:
        return await self._call("GET", path, {}, READ_SECONDS, headers=headers)

    async def apply(self, path: str, body: Object, *, force: bool = True, seconds: float = WRITE_SECONDS) -> Object:
        """Server-side apply; answers the object as it is now. Without `force`, what another one owns is a Conflict."""
        query = {**_QUERY, "force": "true" if force else "false"}
        return await self._call("PATCH", path, query, seconds, body, _APPLY)

    async def delete(self, path: str, uid: str) -> Object:
        """Deletes the object with this uid and no other; answers its last state, or a Status."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        return await self._call("DELETE", path, {"timeout": _QUERY["timeout"]}, WRITE_SECONDS, body, _JSON)

    async def send(self, method: str, path: str, body: Object, seconds: float = WRITE_SECONDS) -> Object:
        """A plain POST or PUT."""
        return await self._call(method, path, _QUERY, seconds, body, _JSON)

    async def watch(self, path: str, resource_version: str, seconds: int) -> AsyncIterator[bytes]:
        """Lines of a watch, each one JSON event, until the server ends it; a half line at the end is dropped."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=10, sock_read=WATCH_SILENCE_SECONDS)
        request = f"WATCH {path}"
        try:
            async with self._session.get(
                self._url(path, query), headers=await self._headers(), timeout=timeout, proxy=self._proxy
            ) as response:
                if response.status != 200:
                    raise await self._error(response, request)
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk if rest else chunk).split(b"\n")
                    for line in lines:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unreachable(0, f"{type(error).__name__} {error}", request=request) from error

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        seconds: float,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        request = f"{method} {path}"
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(seconds):
                response = await self._session.request(
                    method,
                    self._url(path, query),
                    data=data,
                    headers={**await self._headers(), **(headers or {})},
                    timeout=_NO_TIMER,
                    proxy=self._proxy,
                )
                if response.status >= 300:
                    raise await self._error(response, request)
                answer: Object = json.loads(await response.read())
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise errors.Unreachable(0, f"{type(error).__name__} {error}", request=request) from error

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        url = URL(self._host + path)
        return url.with_query(query) if query else url

    async def _headers(self) -> Mapping[str, str]:
        """The authorization header; the library reads a projected token anew as it is rotated."""
        now = time.monotonic()
        if now - self._authorized_at > _TOKEN_SECONDS:
            token = await self.configuration.get_api_key_with_prefix("BearerToken")
            basic = self.configuration.get_basic_auth_token() if self.configuration.username else None
            value = token or basic
            self._authorization = {"Authorization": value} if value else {}
            self._authorized_at = now
        return self._authorization

    async def _error(self, response: aiohttp.ClientResponse, request: str) -> errors.ApiError:
        raw = await response.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw.decode(errors="replace")
        if response.status == 401:
            self._authorized_at = float("-inf")
        return errors.decided(response.status, body, request, response.headers.get("Retry-After"))


#: asyncio.timeout bounds the whole call; a second timer per request would only cost time.
_NO_TIMER = aiohttp.ClientTimeout(total=None)
