"""The real entry point with real files: arguments in, exit status and both outputs out."""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from exposure.cli import main
from tests.cluster.binaries import binaries, gateway_api_crds
from tests.cluster.control_plane import ControlPlane


def pytest_collection_finish(session: pytest.Session) -> None:
    # Before the first test, because a build of minutes would run into that test's time limit.
    if any("tests/cli/" in item.nodeid for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries()


REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str
    err: str


Run: TypeAlias = Callable[..., Result]
Write: TypeAlias = Callable[[str, str], str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`kubectl exposure ARGUMENTS`, in a folder of its own; `stdin` is what is piped into it."""
    monkeypatch.chdir(tmp_path)
    # A test without -f must not reach a cluster of the user's.
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))

    def running(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        try:
            status = main(arguments)
        except SystemExit as end:  # argparse ends this way
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return running


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the folder that `run` works in, and returns its name."""

    def writing(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return writing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster on which the operator is installed (but does not run), and the examples are applied."""
    with ControlPlane(tmp_path_factory.mktemp("cli")) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(gateway_api_crds() / "standard"))
        cluster.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "manifests" / "base"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        cluster.kubectl("apply", "-f", str(REPOSITORY / "examples"))
        yield cluster
