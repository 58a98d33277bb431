"""Objects, from wherever they were read, into a `Snapshot`: each where the table of kinds says."""

from collections.abc import Mapping
from typing import Any

from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.parse.kinds import KINDS, Kind
from exposure.parse.objects import namespace

BY_GROUP_AND_KIND: Mapping[tuple[str, str], Kind] = {(kind.group, kind.kind): kind for kind in KINDS}
#: Calico serves its pools through its own API server as well.
SAME_KIND = {("projectcalico.org", "IPPool"): ("crd.projectcalico.org", "IPPool")}
VERSIONS_OF_SAME_KIND = {("projectcalico.org", "IPPool"): ("v3",)}


def group_of(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def kind_of(api_version: str, name: str) -> Kind | None:
    """The row of the table for an object's apiVersion and kind, in any version; None for a kind that is not read."""
    group_and_kind = group_of(api_version), name
    return BY_GROUP_AND_KIND.get(SAME_KIND.get(group_and_kind, group_and_kind))


def is_served(kind: Kind, api_version: str) -> bool:
    group, _, version = api_version.rpartition("/")
    return version in VERSIONS_OF_SAME_KIND.get((group, kind.kind), kind.versions)


class Gathering:
    """Fills the mappings of a `Snapshot`, one value at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {kind.snapshot: {} for kind in KINDS}

    def keep(self, kind: Kind, value: Any) -> bool:
        """Keeps what `kind.parse` returned. True where it replaces another value of the same name."""
        place = self._kept[kind.snapshot]
        if kind.namespaced:
            place = place.setdefault(value.namespace, {})
        earlier = place.get(value.name, value)
        place[value.name] = value
        return bool(earlier != value)

    def snapshot(self, config: Config) -> Snapshot:
        """What was gathered. A namespace that objects lie in exists, even without a Namespace object."""
        namespaces = self._kept["namespaces"]
        named = {name for kind in KINDS if kind.namespaced for name in self._kept[kind.snapshot]}
        for name in sorted(named):
            namespaces.setdefault(name, namespace({"metadata": {"name": name}}))
        return Snapshot(config=config, **self._kept)
