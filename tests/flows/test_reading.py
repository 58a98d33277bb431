"""Hostile and broken logs: counted, reported with their place, never fatal, never repeated to a terminal."""

import gzip
import json
from pathlib import Path

import pytest

from exposure.flows import reading
from exposure.flows.reading import LONGEST_LINE, Account
from tests.flows.conftest import Flows, fixture

GOOD = b"2 1 eni-1 198.51.100.7 10.244.1.5 20641 8080 6 20 4249 1 2 ACCEPT OK\n"


def account_of(content: bytes, tmp_path: Path, name: str = "a.log", form: str = "auto") -> Account:
    (tmp_path / name).write_bytes(content)
    account = Account()
    for _ in reading.flows(str(tmp_path / name), form, account):
        pass
    return account


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"\x00\x00\x00\n", id="nul"),
        pytest.param(b"\x1b]0;owned\x07\x1b[2J\n", id="escape-codes"),
        pytest.param(b"\xff\xfe\xfd\n", id="not-utf8"),
        pytest.param(b"A" * (3 * LONGEST_LINE) + b"\n", id="huge-line"),
        pytest.param(b"2 1 eni-1 198.51.100.7\n", id="cut-off"),
        pytest.param(b"2 1 eni-1 1.2.3.4 1.2.3.5 x 99999999999999999999 6 20 4249 1 2 ACCEPT OK\n", id="huge-number"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_bad_line_is_counted_and_the_others_are_read(bad: bytes, packed: bool, tmp_path: Path) -> None:
    """One bad line between two good ones."""
    content = GOOD + bad + GOOD
    account = account_of(gzip.compress(content) if packed else content, tmp_path)
    assert (3, 2, 1) == (account.lines, account.flows, account.bad)
    assert 2 == account.examples[0][1]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"flow": 7}', id="a-number-for-a-flow"),
        pytest.param(b'{"flow": {"verdict": ["x"]}}', id="a-list-for-a-verdict"),
        pytest.param(b'{"flow": {"verdict": "FORWARDED", "l4": {"TCP": null}}}', id="null-ports"),
        pytest.param(
            b'{"flow": {"verdict": "FORWARDED", "l4": {"TCP": {"destination_port": 1e999}}, "IP": {}}}',
            id="infinite-port",
        ),
        pytest.param(b'"x"', id="a-string"),
        pytest.param(b"{}", id="nothing"),
    ],
)
def test_json_of_another_shape_is_a_bad_line(line: bytes, tmp_path: Path) -> None:
    """Whatever stands where an object should."""
    account = account_of(line + b"\n", tmp_path, form="hubble")
    assert (0, 1) == (account.flows, account.bad)


def test_a_cut_gzip_file_gives_what_can_be_read(tmp_path: Path) -> None:
    """And the report names it."""
    whole = gzip.compress(GOOD * 20_000)
    account = account_of(whole[: len(whole) // 2], tmp_path, "a.gz")
    assert account.flows > 0
    assert 1 == len(account.broken)


def test_a_folder_is_read_with_all_below_it(tmp_path: Path) -> None:
    """Hidden files left out."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/b/two.log", "a/one.log", "a/.hidden"):
        (tmp_path / name).write_bytes(GOOD)
    found = reading.sources([str(tmp_path / "a")])
    assert ["b/two.log", "one.log"] == [str(Path(name).relative_to(tmp_path / "a")) for name in found]


def test_hostile_names_reach_no_terminal(flows: Flows) -> None:
    """Escape codes in labels are shown as code points, and are in no proposal."""
    evil = json.loads(Path(fixture("hubble.json")).read_text().splitlines()[0])
    labels = ["k8s:app=\x1b]0;x\x07\n- evil: true"]
    evil["flow"]["source"] = {"namespace": "x\x1b[2J", "pod_name": "p", "labels": labels}
    line = json.dumps(evil).encode()
    for output in ("table", "json", "yaml"):
        done = flows("-", "-o", output, stdin=line)
        assert 0 == done.status
        assert "\x1b" not in done.out + done.err
    assert "evil" not in done.out


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param((), "No flow log is given.", id="no-log"),
        pytest.param(("nowhere.log",), "no such file", id="missing"),
        pytest.param(("-", "--max-prefix", "33"), "at most 32", id="prefix"),
        pytest.param(("-", "--rows", "3"), "3 is not a number from 16", id="rows"),
    ],
)
def test_wrong_use_ends_with_status_2(flows: Flows, arguments: tuple[str, ...], message: str) -> None:
    """And a sentence."""
    done = flows(*arguments)
    assert 2 == done.status
    assert message in done.err


def test_a_file_of_no_known_format(flows: Flows) -> None:
    """Nothing could be read: status 2, with the first places."""
    done = flows("-", stdin=b"hello\n" * 3)
    assert 2 == done.status
    assert "in no known format" in done.err
