"""The demo itself, as a machine sees it."""

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
from tests.demo.calls import Answer, Call, LetIn, Stream, unlike
from tests.demo.lab_stage import hindrance
from tests.demo.story import STEPS

DEMO = [sys.executable, "-m", "tests.demo", "--fast"]
CALL = Call("customer", "shop/web")
#: The tables of real connections in the lab, each under its title.
TABLES = ("Before", "In Audit", "During", "After", "Strict", "Cured", "The second port", "Released", "Closed again")


@pytest.mark.timeout(330)
@pytest.mark.parametrize(
    "flags, tables",
    [
        pytest.param(["--no-lab"], (), id="without-packets"),
        pytest.param([], TABLES, id="with-packets", marks=pytest.mark.lab),
    ],
)
def test_the_demo_tells_its_whole_story(flags: list[str], tables: tuple[str, ...], control_plane: ControlPlane) -> None:
    """Every step comes out as promised, in plain text, with real connections where there can be any."""
    ran = subprocess.run([*DEMO, *flags], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout[-3000:]
    assert len(STEPS) == len(re.findall(r"^== \d+\. .* ==$", ran.stdout, re.MULTILINE))
    titles = re.findall(r"^# (.*)\n(?:WHO|$)", ran.stdout, re.MULTILINE)
    assert [True] * len(tables) == [title.startswith(each) for title, each in zip(titles, tables, strict=True)]
    assert ("No packets this time" in ran.stdout) == (not tables)
    assert "\x1b" not in ran.stdout


@pytest.mark.lab
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_broken_off_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C in the midst of it ends every process and takes every folder away."""
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
    assert [] == [each.name for each in tmp_path.iterdir() if each.name.startswith("exposure-lab")]
    deadline = time.monotonic() + 5  # a process that was killed is still listed for a moment
    while (left := mentioning(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left


def test_a_machine_without_the_tools_hears_which() -> None:
    """Without packets the demo says why, and what to install."""
    said = _hindrance([], PATH="/nowhere")
    assert "nft not found (Debian: apt-get install iptables nftables iproute2)" in said


@pytest.mark.lab
@pytest.mark.parametrize(
    "lacks, said",
    [
        pytest.param("sys_admin", "network namespaces are not to be had here", id="no-namespaces"),
        pytest.param("net_admin", "fails in a network namespace", id="namespaces-without-power"),
    ],
)
def test_root_without_the_rights_hears_what_fails(lacks: str, said: str) -> None:
    """A container's root may lack what a lab needs: the demo finds out before it starts one."""
    assert said in _hindrance(["setpriv", "--bounding-set", f"-{lacks}"])


@pytest.mark.lab
def test_this_machine_can_have_a_lab() -> None:
    """Where the lab's tests run, the demo has packets."""
    assert "" == hindrance()


@pytest.mark.parametrize(
    "passed, expected, wrong",
    [
        pytest.param(20, LetIn.ALL, [], id="all"),
        pytest.param(9, LetIn.SOME, [], id="some"),
        pytest.param(0, LetIn.NONE, [], id="none"),
        pytest.param(19, LetIn.ALL, ["customer to shop/web: 19 of 20 let in, not all"], id="one-short-of-all"),
        pytest.param(1, LetIn.NONE, ["customer to shop/web: 1 of 20 let in, not none"], id="one-too-many"),
    ],
)
def test_what_comes_out_otherwise_is_told(passed: int, expected: LetIn, wrong: list[str]) -> None:
    """A single connection that is let in or refused against the story's word is an error."""
    assert wrong == unlike([Answer(CALL, "203.0.113.10", "192.0.2.64:80", 20, passed)], {CALL: expected})


@pytest.mark.parametrize(
    "stream, verdict",
    [
        pytest.param(Stream(CALL, 9, 9, 0), "never refused", id="allowed"),
        pytest.param(Stream(CALL, 9, 4, 0), "let in 4 times, then never again", id="denied-from-some-moment-on"),
        pytest.param(Stream(CALL, 9, 4, 1), "let in 1 times after it had been refused", id="let-in-again"),
        pytest.param(Stream(CALL, 9, 0, 0), "always refused", id="denied-from-the-start"),
    ],
)
def test_streams_are_told_in_words(stream: Stream, verdict: str) -> None:
    """Who asked all the time was never cut off, or was once and for all, or neither."""
    assert verdict == stream.verdict


def _hindrance(prefix: list[str], **environment: str) -> str:
    code = "from tests.demo.lab_stage import hindrance; print(hindrance())"
    return subprocess.run(
        [*prefix, sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
