"""Which events of the watches enqueue a namespace while the operator's own write of the object is under way."""

from collections.abc import Iterable
from typing import Any

import pytest

from exposure.controller.store import Store, digest
from exposure.model.config import Config


def exposure(version: int, address: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "service-web", "uid": "1", "resourceVersion": str(version)},
        "status": {"address": address, "conditions": []},
    }


def a_store() -> tuple[Store, list[str]]:
    enqueued: list[str] = []

    def enqueue(namespaces: Iterable[str]) -> None:
        enqueued.extend(namespaces)

    store = Store(Config(), enqueue)
    store.begun = True
    return store, enqueued


@pytest.mark.parametrize(
    ("event", "enqueued"),
    [
        (exposure(2, "192.0.2.1"), []),
        (exposure(2, "192.0.2.99"), ["shop"]),
        (None, ["shop"]),
    ],
    ids=["the echo of the write enqueues nothing", "another client's change enqueues", "a deletion enqueues"],
)
def test_an_event_during_an_own_write_of_an_exposure(event: dict[str, Any] | None, enqueued: list[str]) -> None:
    store, namespaces = a_store()
    before, sent = exposure(1, ""), digest(exposure(0, "192.0.2.1"))
    store.exposures.put(before, own_write=True)
    key = ("shop", "service-web")
    with store.expecting("Exposure", key, lambda live: live is not None and live.digest == sent):
        if event is None:
            store.exposures.remove(exposure(2, ""))
        else:
            store.exposures.put(event)
    assert namespaces == enqueued


def test_an_event_after_the_own_write_enqueues() -> None:
    store, namespaces = a_store()
    key = ("shop", "service-web")
    with store.expecting("Exposure", key, lambda _: True):
        store.exposures.put(exposure(1, "192.0.2.1"))
    store.exposures.put(exposure(2, ""))
    assert namespaces == ["shop"]


def test_an_event_of_another_object_enqueues_during_an_own_write() -> None:
    store, namespaces = a_store()
    with store.expecting("Exposure", ("shop", "ingress-shop"), lambda _: True):
        store.exposures.put(exposure(1, "192.0.2.1"))
    assert namespaces == ["shop"]
