"""Which kinds the API server has, and at which version. It is asked every few seconds: CRDs may be installed later."""

import asyncio
import logging
from collections.abc import Mapping
from typing import TypeAlias

from exposure.controller.client import Client, Object
from exposure.controller.errors import ApiError
from exposure.parse.kinds import Kind

POLL_SECONDS = 5.0
FIRST_POLL_SECONDS = 0.5
#: One answer for all groups with their resources (Kubernetes 1.30; v2beta1 from 1.26), else groups and versions only.
_ACCEPT = ",".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)
#: group → version → plurals. None in place of the plurals: the server does not say, so it has to be tried.
Groups: TypeAlias = Mapping[str, Mapping[str, frozenset[str] | None]]
log = logging.getLogger(__name__)


class Discovery:
    """`version_of` answers from the last look at the API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._groups: Groups | None = None
        self._changed = asyncio.Condition()

    def version_of(self, kind: Kind) -> str | None:
        """The version at which the kind is served, the preferred one first. None while it is not installed."""
        served = (self._groups or {}).get(kind.group, {})
        for version in kind.versions:
            plurals = served.get(version, frozenset())
            if plurals is None or kind.plural in plurals:
                return version
        return None

    async def wait_for_version(self, kind: Kind) -> str:
        async with self._changed:
            await self._changed.wait_for(lambda: self.version_of(kind) is not None)
        version = self.version_of(kind)
        assert version is not None
        return version

    async def wait_for_look(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._groups is not None)

    async def look(self) -> None:
        groups = _groups(await self._client.get("/apis", headers={"Accept": _ACCEPT}))
        if groups != self._groups:
            async with self._changed:
                self._groups = groups
                self._changed.notify_all()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except ApiError as error:
                log.warning("the kinds of the API server cannot be read: %s", error)
            except (KeyError, TypeError, AttributeError) as error:
                log.warning("the API server's list of kinds has an unknown form: %r", error)
            await asyncio.sleep(POLL_SECONDS if self._groups is not None else FIRST_POLL_SECONDS)


def _groups(answer: Object) -> Groups:
    if answer.get("kind") == "APIGroupList":
        return {
            group["name"]: {version["version"]: None for version in group.get("versions", ())}
            for group in answer.get("groups", ())
        }
    return {
        group["metadata"]["name"]: {
            version["version"]: frozenset(resource["resource"] for resource in version.get("resources", ()))
            for version in group.get("versions", ())
        }
        for group in answer.get("items", ())
    }
