"""Which kinds the API server has, and at which version. It is asked every few seconds: CRDs may be installed later."""

import asyncio
import logging
from collections.abc import Callable, Mapping
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
#: Group and version → plurals. None in place of the plurals: the server does not say, so it has to be tried.
Served: TypeAlias = Mapping[tuple[str, str], frozenset[str] | None]
log = logging.getLogger(__name__)


class Discovery:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._served: Served = {}
        self._changed = asyncio.Condition()

    async def version_of(self, kind: Kind, on_absence: Callable[[], None]) -> str:
        """The version at which the kind is served, the preferred one first.

        Calls `on_absence` where the kind is not installed, and waits until it is.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._served)
            if not self._version(kind):
                on_absence()
            return await self._changed.wait_for(lambda: self._version(kind))

    def _version(self, kind: Kind) -> str:
        for version in kind.versions:
            plurals = self._served.get((kind.group, version), frozenset())
            if plurals is None or kind.plural in plurals:
                return version
        return ""

    async def look(self) -> None:
        served = _served(await self._client.get("/apis", headers={"Accept": _ACCEPT}))
        if served != self._served:
            async with self._changed:
                self._served = served
                self._changed.notify_all()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except ApiError as error:
                log.warning("the API server's list of kinds cannot be read: %s", error)
            except (KeyError, TypeError, AttributeError) as error:
                log.warning("the API server's list of kinds has an unknown form: %r", error)
            await asyncio.sleep(POLL_SECONDS if self._served else FIRST_POLL_SECONDS)


def _served(answer: Object) -> Served:
    if answer.get("kind") == "APIGroupList":
        return {
            (group["name"], version["version"]): None
            for group in answer.get("groups", ())
            for version in group.get("versions", ())
        }
    return {
        (group["metadata"]["name"], version["version"]): frozenset(
            resource["resource"] for resource in version.get("resources", ())
        )
        for group in answer.get("items", ())
        for version in group.get("versions", ())
    }
