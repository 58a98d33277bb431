"""The world as last seen, and whose bell an event rings. No decision lives here.

One thread, one event loop: values are replaced in place between two awaits, so a `World` read in one go is consistent.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from exposure.controller.invalidation import Invalidation
from exposure.controller.tables import Key, Table
from exposure.fields import Raw, integer, mapping, objects, text
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.parse.kinds import API_GROUP, KINDS, Kind
from exposure.plan import same
from exposure.resolve.facts import ClusterFacts, cluster_facts


@dataclass(frozen=True, slots=True)
class WrittenExposure:
    """What is kept of a live Exposure: enough to see whether it says what it should."""

    uid: str
    digest: bytes
    conditions: tuple[Mapping[str, Any], ...] = ()
    blind_spots: frozenset[str] = frozenset()


EXPOSURE = Kind("Exposure", API_GROUP, ("v1alpha1",), "exposures", "", lambda raw: written_exposure(raw))


def written_exposure(raw: Raw) -> WrittenExposure:
    head, status = mapping(raw, "metadata"), mapping(raw, "status")
    return WrittenExposure(
        uid=text(head, "uid"),
        digest=digest(raw),
        conditions=tuple(objects(status, "conditions")),
        blind_spots=frozenset(sys.intern(text(each, "reason")) for each in objects(status, "blindSpots")),
    )


def digest(raw: Raw) -> bytes:
    """Of what an Exposure says: status without the times of its conditions, labels, annotations, owners."""
    head, status = mapping(raw, "metadata"), dict(mapping(raw, "status"))
    status["conditions"] = [
        {key: value for key, value in each.items() if key != "lastTransitionTime"}
        for each in objects(status, "conditions")
    ]
    owners = [
        {key: value for key, value in each.items() if value is not False} for each in objects(head, "ownerReferences")
    ]
    said = [status, head.get("labels") or {}, head.get("annotations") or {}, owners]
    return blake2b(json.dumps(said, sort_keys=True, separators=(",", ":")).encode(), digest_size=16).digest()


def generation_of(raw: Raw) -> int:
    return integer(mapping(raw, "metadata"), "generation", 1)


class Store:
    """`ring` is called with the namespaces that may have to change; `tables` is kind → Table."""

    def __init__(self, config: Config, enqueue: Callable[[Iterable[str]], None]) -> None:
        self._enqueue = enqueue
        written = {"NetworkPolicy", "ExposurePolicy", "ClusterExposurePolicy"}
        self.tables: dict[str, Table] = {
            kind.kind: Table(kind, self._changed, versioned=kind.kind in written, keep_raw=kind.group == API_GROUP)
            for kind in KINDS
        }
        self.exposures = Table(EXPOSURE, self._changed, versioned=True)
        self.snapshot = Snapshot(config, **{kind.snapshot: self.tables[kind.kind].values for kind in KINDS})
        self.policies = self.tables["NetworkPolicy"]
        self._survey: ClusterFacts | None = None
        self._stale = True
        self._bearing = Invalidation(None)
        self._expected: dict[Key, NetworkPolicy | None] = {}
        self._quiet = True

    @property
    def all_tables(self) -> list[Table]:
        return [*self.tables.values(), self.exposures]

    def begin(self) -> None:
        """Every kind has been read once: from now on, changes ring."""
        self._quiet = False
        self.enqueue_all()

    def enqueue_all(self) -> None:
        self._enqueue(self.namespaces())

    def namespaces(self) -> list[str]:
        """Every namespace there is, and those of which only something of ours is left."""
        return sorted({*self.snapshot.namespaces, *self.exposures.values})

    def cluster_facts(self) -> ClusterFacts:
        """The facts that hold for the whole cluster, computed anew after something of theirs changed."""
        if self._survey is None or self._stale:
            before, self._survey = self._survey, cluster_facts(self.snapshot)
            self._stale = False
            self._bearing = Invalidation(self._survey)
            if before is not None and before != self._survey:
                affected = self._survey.affected(before)
                self._enqueue(self.namespaces() if affected is None else affected)
        return self._survey

    @property
    def survey_is_stale(self) -> bool:
        return self._stale

    def expect(self, key: Key, policy: NetworkPolicy | None) -> None:
        """What our own write is about to make of a NetworkPolicy: seeing just that rings nobody."""
        self._expected[key] = policy

    def expected_no_more(self, key: Key) -> None:
        self._expected.pop(key, None)

    def _changed(self, kind: Kind, key: Key, before: Any, after: Any) -> None:
        name = kind.kind
        if not self._stale and self._bearing.of(kind, key, before, after, self.snapshot):
            self._stale = True
        if self._quiet:
            return
        if name == "NetworkPolicy" and key in self._expected and _as_expected(after, self._expected[key]):
            return
        if kind.namespaced:
            self._enqueue((key[0], *self._bearing.told_elsewhere(key[0])))
        elif name == "Namespace":
            self._enqueue((key[1],))
        elif name == "ClusterExposurePolicy":
            # Whom it reached, and whom it reaches now.
            self.enqueue_all()
        else:
            self._enqueue(())


def _as_expected(live: NetworkPolicy | None, expected: NetworkPolicy | None) -> bool:
    return live is None if expected is None else live is not None and same(live, expected)
