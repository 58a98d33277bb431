"""The snapshot of the cluster as it was read last, and which namespaces an event enqueues. No decision is made here.

One thread, one event loop: values are replaced in place between two awaits, so what is read without an await in between
is consistent.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from exposure.controller.invalidation import Invalidation
from exposure.controller.tables import Key, ObjectTable
from exposure.fields import Raw, mapping, objects, text
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.parse.kinds import API_GROUP, KINDS, Kind
from exposure.plan.changes import same
from exposure.resolve.facts import ClusterFacts, cluster_facts

INTENT = ("ExposurePolicy", "ClusterExposurePolicy")
#: Kinds that the operator writes, so that answers to its writes meet events of its watches.
WRITTEN = ("NetworkPolicy", "Exposure", *INTENT)


@dataclass(frozen=True, slots=True)
class LiveExposure:
    """What is kept of an Exposure: enough to see whether it is as it should be."""

    uid: str
    digest: bytes
    conditions: tuple[Raw, ...]
    blind_spots: frozenset[str]


def live_exposure(raw: Raw) -> LiveExposure:
    metadata, status = mapping(raw, "metadata"), mapping(raw, "status")
    return LiveExposure(
        uid=text(metadata, "uid"),
        digest=digest(raw),
        conditions=tuple(objects(status, "conditions")),
        blind_spots=frozenset(sys.intern(text(spot, "reason")) for spot in objects(status, "blindSpots")),
    )


EXPOSURE = Kind("Exposure", API_GROUP, ("v1alpha1",), "", live_exposure)


def digest(raw: Raw) -> bytes:
    """A hash of what an Exposure shows: labels, annotations, owners, and status without the times of conditions."""
    metadata = mapping(raw, "metadata")
    owners = [
        {key: value for key, value in owner.items() if value is not False}
        for owner in objects(metadata, "ownerReferences")
    ]
    status = without_times(mapping(raw, "status"))
    shown = [status, metadata.get("labels") or {}, metadata.get("annotations") or {}, owners]
    return blake2b(json.dumps(shown, sort_keys=True, separators=(",", ":")).encode(), digest_size=16).digest()


def without_times(status: Raw) -> Raw:
    """A status without the times of its conditions, which are no reason to write, and without empty fields."""
    conditions = [
        {key: value for key, value in condition.items() if key != "lastTransitionTime"}
        for condition in objects(status, "conditions")
    ]
    return {key: value for key, value in status.items() if value} | {"conditions": conditions}


class Store:
    """`tables` is kind → table. `enqueue` is called with the namespaces of which the outcome may have changed.

    `begun`: every kind has been read once. From then on, changes enqueue namespaces.
    """

    def __init__(self, config: Config, enqueue: Callable[[Iterable[str]], None]) -> None:
        self.begun = False
        self._enqueue = enqueue
        self.tables = {
            kind.kind: ObjectTable(kind, self._changed, versioned=kind.kind in WRITTEN, keep_raw=kind.kind in INTENT)
            for kind in (*KINDS, EXPOSURE)
        }
        self.snapshot = Snapshot(config, **{kind.snapshot: self.tables[kind.kind].values for kind in KINDS})
        self.policies = self.tables["NetworkPolicy"]
        self.exposures = self.tables["Exposure"]
        self._facts = cluster_facts(self.snapshot)
        self._facts_are_stale = True
        self._invalidation = Invalidation(self._facts)
        #: Kind and key of what our own writes under way change → whether a value is what they make of it.
        self._expected: dict[tuple[str, Key], Callable[[Any], bool]] = {}

    def enqueue_all(self) -> None:
        self._enqueue(self.namespaces())

    def namespaces(self) -> list[str]:
        """Every namespace that exists, and those of which only Exposures are left."""
        return sorted({*self.snapshot.namespaces, *self.exposures.values})

    def cluster_facts(self) -> ClusterFacts:
        """The facts of the whole cluster, worked out again where an event has affected them since."""
        if self._facts_are_stale:
            before, self._facts = self._facts, cluster_facts(self.snapshot)
            self._facts_are_stale = False
            self._invalidation = Invalidation(self._facts)
            if before != self._facts:
                affected = self._facts.affected(before)
                self._enqueue(self.namespaces() if affected is None else affected)
        return self._facts

    @contextlib.contextmanager
    def expecting(self, kind: str, key: Key, is_expected: Callable[[Any], bool]) -> Iterator[None]:
        """During our own write of an object: an event after which its value is the expected one enqueues nothing."""
        self._expected[kind, key] = is_expected
        try:
            yield
        finally:
            del self._expected[kind, key]

    def _changed(self, kind: Kind, key: Key, before: Any, after: Any) -> None:
        if not self._facts_are_stale and self._invalidation.affects_facts(kind, key, before, after, self.snapshot):
            self._facts_are_stale = True
        if not self.begun:
            return
        is_expected = self._expected.get((kind.kind, key))
        if is_expected is not None and is_expected(after):
            return
        match kind.kind:
            case "Namespace":
                self._enqueue((key[1], *self._invalidation.shown_in(key[1])))
            case "ClusterExposurePolicy":
                # Also the namespaces that it selected before, which are not known any more.
                self.enqueue_all()
            case _ if kind.namespaced:
                self._enqueue((key[0], *self._invalidation.shown_in(key[0])))
            case _:
                # Wakes the scheduler, which works the facts out again.
                self._enqueue(())


def is_as_wanted(live: NetworkPolicy | None, wanted: NetworkPolicy | None) -> bool:
    """Whether a live NetworkPolicy means what it should. None: it does not exist, or should not."""
    return live is None if wanted is None else live is not None and same(live, wanted)
