"""Faults between the operator and the API server: no stale object, no missed object, no crash.

Each test changes objects while a fault hides the changes, ends the fault, and expects the same policies as without it.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import exposure_policy, service
from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import FaultyServer
from tests.cluster.fixtures import install_crds
from tests.cluster.operated import Operated
from tests.cluster.operator_process import OperatorProcess, eventually

DEFAULT_DENY = "exposure-default-deny"
SERVICES = "/services.*watch="
INTENT = "/exposurepolicies.*watch="


class Faults:
    """A FaultyServer on an event loop of its own, so that tests can be plain functions."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server = FaultyServer(cluster)

    def __enter__(self) -> "Faults":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def do(self, what: Callable[[], Any]) -> Any:
        """Runs on the proxy's loop, where its state lives."""
        done: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(what()))
        return done.result(10)

    def on_watches(self, what: Callable[[], int]) -> None:
        """Does something to open watches, of which there must be at least one."""
        eventually(lambda: self.do(what), 20, "a watch that the fault meets", lambda: str(self.server.open_watches))


class Broken(Operated):
    def __init__(self, cluster: ControlPlane, operator: OperatorProcess, faults: Faults) -> None:
        super().__init__(cluster, operator)
        self.faults = faults

    @property
    def server(self) -> FaultyServer:
        return self.faults.server


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    """A cluster whose operator uses the proxy. At the end the operator still runs, and none of its code raised."""
    root = tmp_path_factory.mktemp("faults")
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(ControlPlane(root / "cluster"))
        install_crds(cluster)
        faults = stack.enter_context(Faults(cluster))
        operator = OperatorProcess(cluster, root / "operator", server=faults.server.url)
        stack.enter_context(operator)
        yield Broken(cluster, operator, faults)
        assert operator.running, operator.tail()
        raised = [
            line for line in operator.log.read_text().splitlines() if "Traceback" in line and '"exposure.' in line
        ]
        assert raised == []


@pytest.fixture
def shop(broken: Broken) -> str:
    where = broken.new_namespace()
    broken.api.create(service(where, "web"))
    broken.api.create(service(where, "old"))
    broken.api.create(exposure_policy(where))
    broken.until_policies(where, DEFAULT_DENY, "exposure-to-web", "exposure-to-old", seconds=20)
    return where


def change_everything(broken: Broken, shop: str) -> None:
    """One entry point is deleted, one is created, one has another selector."""
    broken.api.delete("Service", shop, "old")
    broken.api.create(service(shop, "new"))
    broken.api.patch("Service", shop, "web", {"spec": {"selector": {"app": "other"}}})


def until_all_is_followed(broken: Broken, shop: str, seconds: float = 30.0) -> None:
    """Waits until the policies follow from `change_everything`."""
    broken.until_policies(shop, DEFAULT_DENY, "exposure-to-web", "exposure-to-new", seconds=seconds)
    eventually(
        lambda: broken.policies(shop)["exposure-to-web"]["podSelector"] == {"matchLabels": {"app": "other"}},
        seconds,
        "the selector",
        broken.more(shop),
    )


def test_a_watch_that_is_cut_goes_on_where_it_was(broken: Broken, shop: str) -> None:
    """Every watch is cut, Kopf's too, while objects change."""
    broken.faults.on_watches(broken.server.break_watches)
    change_everything(broken, shop)
    until_all_is_followed(broken, shop)


def test_a_watch_that_ends_in_good_order_goes_on(broken: Broken, shop: str) -> None:
    """Each watch ends so every few minutes."""
    broken.faults.on_watches(broken.server.end_watches)
    change_everything(broken, shop)
    until_all_is_followed(broken, shop)


def test_an_expired_version_in_the_stream_is_answered_by_a_list(broken: Broken, shop: str) -> None:
    """After an ERROR event with 410, the list shows what was deleted meanwhile."""
    broken.faults.on_watches(lambda: broken.server.send_error_event(410))
    change_everything(broken, shop)
    until_all_is_followed(broken, shop)


@pytest.mark.parametrize("code", [500, 429, 403], ids=str)
def test_any_other_error_event_is_survived(broken: Broken, shop: str, code: int) -> None:
    """Kopf ends with it and is started again. The reflectors list again."""
    broken.faults.on_watches(lambda: broken.server.send_error_event(code, "InternalError", "something"))
    change_everything(broken, shop)
    until_all_is_followed(broken, shop)
    broken.api.delete("ExposurePolicy", shop, "edge")
    broken.until_policies(shop, seconds=45)


def test_an_expired_version_at_the_start_of_a_watch_is_survived(broken: Broken, shop: str) -> None:
    """410 as the answer to the watch request itself."""
    fault = broken.faults.do(lambda: broken.server.answer(410, times=8, matching=SERVICES))
    broken.faults.on_watches(lambda: broken.server.break_watches(SERVICES))
    change_everything(broken, shop)
    eventually(lambda: fault.times < 8, 30, "the fault was met")
    broken.faults.do(lambda: setattr(fault, "times", 0))
    until_all_is_followed(broken, shop)


def test_garbage_in_a_stream_is_no_event(broken: Broken, shop: str) -> None:
    """Incomplete lines, unknown types, objects without a name."""
    for line in ("{", "[]", "null", '{"type": "SURPRISE", "object": {"metadata": {}}}', "\x00\xff"):
        broken.faults.on_watches(partial(broken.server.send_event, line, matching=SERVICES))
    change_everything(broken, shop)
    until_all_is_followed(broken, shop)


def test_a_missed_deletion_of_intent_is_found_by_the_list(broken: Broken, shop: str) -> None:
    """Kopf does not report what was deleted while its watch was broken. The policy would stay in force for ever."""
    fault = broken.faults.do(lambda: broken.server.answer(500, times=30, matching=INTENT))
    broken.faults.on_watches(lambda: broken.server.break_watches(INTENT))
    broken.api.delete("ExposurePolicy", shop, "edge")
    broken.until_policies(shop, seconds=60)
    eventually(lambda: fault.times < 30, 30, "the fault was met")
    broken.faults.do(lambda: setattr(fault, "times", 0))


@pytest.mark.parametrize("status", [429, 500, 503], ids=str)
def test_a_server_that_refuses_every_request_for_a_while_is_survived(broken: Broken, shop: str, status: int) -> None:
    """Every request has the same answer until the fault ends."""
    wait = 1 if status == 429 else None
    fault = broken.faults.do(lambda: broken.server.answer(status, times=120, retry_after=wait))
    broken.faults.do(broken.server.break_watches)
    change_everything(broken, shop)
    eventually(lambda: fault.times < 100, 30, "the fault was met")
    broken.faults.do(lambda: setattr(fault, "times", 0))
    until_all_is_followed(broken, shop, 45)


@pytest.mark.parametrize("status", [409, 429, 500], ids=str)
def test_writes_that_fail_are_made_later(broken: Broken, shop: str, status: int) -> None:
    """A write that the API server refuses is repeated until it succeeds."""
    wait = 1 if status == 429 else None
    fault = broken.faults.do(
        lambda: broken.server.answer(status, times=5, retry_after=wait, matching=r"^(PATCH|DELETE) .*/networkpolicies/")
    )
    change_everything(broken, shop)
    until_all_is_followed(broken, shop, 45)
    assert fault.times == 0


def test_a_time_without_any_connection_is_survived(broken: Broken, shop: str) -> None:
    """Connections are refused and reset. The operator stays alive, and follows every change afterwards."""
    broken.faults.do(broken.server.refuse_connections)
    change_everything(broken, shop)
    assert broken.operator.page("/healthz")[0] == 200
    broken.faults.do(lambda: broken.server.refuse_connections(False))
    until_all_is_followed(broken, shop, 45)


def test_a_crash_of_the_api_server_is_survived(broken: Broken, shop: str) -> None:
    """Objects change right after it."""
    broken.cluster.restart_apiserver(kill=True)
    change_everything(broken, shop)
    until_all_is_followed(broken, shop, 60)


def test_a_compacted_history_is_survived(broken: Broken, shop: str) -> None:
    """After a compaction and a restart every watch from an old version has a real 410."""
    broken.faults.do(broken.server.refuse_connections)
    change_everything(broken, shop)
    broken.cluster.compact()
    broken.cluster.restart_apiserver()
    broken.faults.do(lambda: broken.server.refuse_connections(False))
    until_all_is_followed(broken, shop, 60)


def test_a_continue_token_that_expires_between_two_pages_is_survived(broken: Broken, tmp_path: Path) -> None:
    """A cold start with more Services than one page has, whose second page is refused as expired."""
    where = broken.new_namespace()
    for number in range(510):
        broken.api.create(service(where, f"s{number}", "ClusterIP"))
    # Created while the operator is stopped, so that what exists later came out of the broken list.
    broken.operator.stop()
    broken.api.create(service(where, "web"))
    broken.api.create(exposure_policy(where))
    fault = broken.faults.do(lambda: broken.server.answer(410, times=2, matching="/services.*continue="))
    broken.operator.start()
    broken.until_policies(where, DEFAULT_DENY, "exposure-to-web", seconds=60)
    assert fault.times < 2
    assert broken.operator.metric("exposure_relists_total", resource="services", reason="continue token expired") >= 1


def test_afterwards_it_settles(broken: Broken) -> None:
    """Without faults, the operator stops writing."""
    broken.settle(quiet=3.0)
