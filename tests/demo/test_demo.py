"""The demo, run without pauses."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import REPOSITORY
from tests.cluster.processes import mentioning
from tests.demo.calls import Admitted, Answer, Call, Stream, differences
from tests.demo.lab_stage import reason_without_lab
from tests.demo.story import STEPS

DEMO = [sys.executable, "-m", "tests.demo", "--fast"]
CALL = Call("customer", "shop/web")
#: The tables of real connections in the lab, each under its title.
TABLES = ("Before", "In Audit", "During", "After", "Strict", "Cured", "The second port", "Released", "Isolated again")


@pytest.mark.timeout(330)
@pytest.mark.parametrize(
    "flags, tables",
    [
        pytest.param(["--no-lab"], (), id="without-packets"),
        pytest.param([], TABLES, id="with-packets", marks=pytest.mark.lab),
    ],
)
def test_every_step_of_the_demo_comes_out_as_expected(
    flags: list[str], tables: tuple[str, ...], control_plane: ControlPlane
) -> None:
    """All steps run, in plain text, with real connections where packets are possible."""
    ran = subprocess.run([*DEMO, *flags], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout[-3000:]
    assert len(STEPS) == len(re.findall(r"^== \d+\. .* ==$", ran.stdout, re.MULTILINE))
    titles = re.findall(r"^# (.*)\n(?:CLIENT|$)", ran.stdout, re.MULTILINE)
    assert [True] * len(tables) == [title.startswith(expected) for title, expected in zip(titles, tables, strict=True)]
    assert ("No packets this time" in ran.stdout) == (not tables)
    assert "\x1b" not in ran.stdout


@pytest.mark.lab
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C ends every process and removes every folder."""
    demo = subprocess.Popen(
        DEMO, cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout
    for line in demo.stdout:
        if line.startswith("# Before"):
            break
    demo.send_signal(number)
    demo.stdout.read()
    assert 130 == demo.wait(60)
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith("exposure-lab")]
    deadline = time.monotonic() + 5  # a process that was killed is still listed for a moment
    while (left := mentioning(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left


def test_missing_tools_are_named() -> None:
    """Where tools are missing, the demo says which, and what to install."""
    output = _reason([], PATH="/nowhere")
    assert "nft not found (Debian: apt-get install iptables nftables iproute2)" in output


@pytest.mark.lab
@pytest.mark.parametrize(
    "lacks, expected",
    [
        pytest.param("sys_admin", "this machine gives no network namespace", id="no-namespaces"),
        pytest.param("net_admin", "fails in a network namespace", id="namespaces-without-net-admin"),
    ],
)
def test_missing_capabilities_are_named(lacks: str, expected: str) -> None:
    """Root in a container may lack a capability that the lab needs. The demo finds out before it starts a lab."""
    assert expected in _reason(["setpriv", "--bounding-set", f"-{lacks}"])


@pytest.mark.lab
def test_this_machine_can_run_the_lab() -> None:
    """Where the lab's tests run, the demo has packets."""
    assert "" == reason_without_lab()


@pytest.mark.parametrize(
    "passed, expected, wrong",
    [
        pytest.param(20, Admitted.ALL, [], id="all"),
        pytest.param(9, Admitted.SOME, [], id="some"),
        pytest.param(0, Admitted.NONE, [], id="none"),
        pytest.param(19, Admitted.ALL, ["customer to shop/web: 19 of 20 admitted, not all"], id="one-short-of-all"),
        pytest.param(1, Admitted.NONE, ["customer to shop/web: 1 of 20 admitted, not none"], id="one-too-many"),
    ],
)
def test_an_unexpected_connection_is_reported(passed: int, expected: Admitted, wrong: list[str]) -> None:
    """A single connection that is admitted or refused against the expectation is an error."""
    assert wrong == differences([Answer(CALL, "203.0.113.10", "192.0.2.64:80", 20, passed)], {CALL: expected})


@pytest.mark.parametrize(
    "stream, verdict",
    [
        pytest.param(Stream(CALL, 9, 9, 0), "never refused", id="allowed"),
        pytest.param(Stream(CALL, 9, 4, 0), "admitted 4 times, then never again", id="denied-from-some-moment-on"),
        pytest.param(Stream(CALL, 9, 4, 1), "admitted 1 times after a refusal", id="admitted-again"),
        pytest.param(Stream(CALL, 9, 0, 0), "always refused", id="denied-from-the-start"),
    ],
)
def test_the_verdict_on_a_stream(stream: Stream, verdict: str) -> None:
    """A stream is never refused, or refused from some moment on, or admitted again after a refusal."""
    assert verdict == stream.verdict


def _reason(prefix: list[str], **environment: str) -> str:
    code = "from tests.demo.lab_stage import reason_without_lab; print(reason_without_lab())"
    return subprocess.run(
        [*prefix, sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
