"""Raw objects, from wherever, into a `World`: parsed by the one table of kinds, kept where the table says."""

from collections.abc import Iterator, Mapping
from typing import Any

from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.parse.kinds import KINDS, Kind
from exposure.parse.objects import namespace

BY_GROUP_AND_KIND: Mapping[tuple[str, str], Kind] = {(each.group, each.kind): each for each in KINDS}
#: Calico serves its pools through its own API server as well.
SAME_KIND = {("projectcalico.org", "IPPool"): ("crd.projectcalico.org", "IPPool")}
SERVED_THERE = {("projectcalico.org", "IPPool"): ("v3",)}


def kind_of(api_version: str, kind: str) -> Kind | None:
    """The row of the table for an object's apiVersion and kind, whatever the version; None: nothing that we read."""
    group = api_version.rpartition("/")[0]
    return BY_GROUP_AND_KIND.get(SAME_KIND.get((group, kind), (group, kind)))


def is_served(found: Kind, api_version: str) -> bool:
    group, _, version = api_version.rpartition("/")
    return version in SERVED_THERE.get((group, found.kind), found.versions)


class Gathering:
    """Fills the mappings of a `World`, one value at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {kind.snapshot: {} for kind in KINDS}

    def keep(self, kind: Kind, value: Any) -> bool:
        """Keeps what `kind.parse` gave; says whether that replaced another value of the same name."""
        place = self._kept[kind.snapshot]
        if kind.namespaced:
            place = place.setdefault(value.namespace, {})
        earlier = place.get(value.name, value)
        place[value.name] = value
        return bool(earlier != value)

    def snapshot(self, config: Config) -> Snapshot:
        """What was gathered; a namespace that objects lie in exists, whether or not anything said so."""
        namespaces = self._kept["namespaces"]
        for name in sorted(self._named_namespaces()):
            namespaces.setdefault(name, namespace({"metadata": {"name": name}}))
        return Snapshot(config=config, **self._kept)

    def _named_namespaces(self) -> Iterator[str]:
        for kind in KINDS:
            if kind.namespaced:
                yield from self._kept[kind.snapshot]
