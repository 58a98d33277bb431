"""Rules for the whole test run."""

import contextlib
import os
import signal

import pytest

import tests.examples  # noqa: F401 - sets up Hypothesis for every folder
from tests.cluster.binaries import binaries
from tests.cluster.fixtures import control_plane, fresh_control_plane, namespace

__all__ = ["control_plane", "fresh_control_plane", "namespace"]

CLUSTERS = frozenset({"control_plane", "fresh_control_plane", "cluster", "installed", "operated"})

_skipped: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # `make unit` leaves out whatever needs an API server, wherever the test lies.
    for item in items:
        if CLUSTERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")


def pytest_collection_finish(session: pytest.Session) -> None:
    # Before the first test, because a build of minutes would run into that test's time limit.
    if any(CLUSTERS.intersection(getattr(item, "fixturenames", ())) for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries()


def pytest_configure() -> None:
    _skipped.clear()
    # A run in a shell's background inherits an ignored SIGINT, and so would every process that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # An expected failure is reported as "skipped" too, but it did run.
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(f"{report.nodeid}: {_reason(report)}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(f"{report.nodeid}: {_reason(report)}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # Only in the controlling process: a worker's own exit status is not reported.
    if _refused(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in _refused(config):
        terminalreporter.write_line(f"In CI a skipped test is a failure, because a skip hides a gap: {line}", red=True)


def _refused(config: pytest.Config) -> list[str]:
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    is_worker = hasattr(config, "workerinput")
    return _skipped if in_ci and not is_worker else []


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    match report.longrepr:
        case (_, _, str(reason)):
            return reason
        case other:
            return str(other)
