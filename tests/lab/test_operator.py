"""The operator between real packets: what it writes lets in whom its Exposures say, at every moment."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab import churn, truth, verdicts
from tests.lab.entry_points import EntryPoint
from tests.lab.expectations import Timeline
from tests.lab.lab import Lab
from tests.lab.mistaken import MISTAKES, mistaken_package
from tests.lab.operated import Operator
from tests.lab.traffic import Outcome, Seen

ROWS: Mapping[str, frozenset[str]] = {
    "pre": frozenset({"node-cluster-pre-preserved", "node-cluster-pre-proxied"}),
    "post": frozenset({"node-cluster-post"}),
}
EVERYWHERE = {"node-local-preserved", "node-local-proxied", "pod-preserved", "pod-proxied"}


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "position, cases", [pytest.param("pre", truth.CASES, id="pre"), pytest.param("post", truth.SHORT, id="post")]
)
def test_packets_oracle_and_exposure_agree(position: str, cases: tuple[truth.Case, ...]) -> None:
    """From every sender to every entry point, packets, oracle, Exposure and intent agree, in each row of the table."""
    with Lab(position=position) as lab, Operator(lab, network={"cni": truth.CNI[position]}) as operator:
        stage = truth.OperatedStage(lab, operator)
        result = stage.run(cases)
        stage.close()
    assert [] == [str(each) for each in result.wrong[:20]]
    assert ROWS[position] | EVERYWHERE == set(result.rows)
    assert {entry_point.value for entry_point in EntryPoint} == {
        entry_point for entry_point, count in result.by_entry_point.items() if count > 500
    }
    assert 1000 < result.passed < result.cells - 1000
    assert result.cells > 5000


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_nothing_opens_and_nothing_is_cut() -> None:
    """While everything changes and the operator is killed at random, each connection meets what was asked for."""
    with Lab() as lab, Operator(lab, network={"cni": churn.CNI}, slow=churn.SLOW_WRITE_SECONDS) as operator:
        found = churn.run(lab, operator, seed=5, probes=5000, seconds=400, rounds=2)
    assert [] == [str(each) for each in found.tally.wrong_shown] + found.late
    assert 24 == len(found.deeds)
    assert 12 == len(set(found.deeds))
    assert found.tally.probes >= 5000
    assert found.kills >= 3
    assert 1000 < found.tally.passed < found.tally.probes - 1000


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_mistakes_in_what_is_written_are_caught() -> None:
    """An operator that forgets nodes, uses the Service port, or skips IPv6 does not pass the packet cells."""
    found = verdicts.wrong_of_mistaken_truth()
    assert dict.fromkeys(verdicts.IN_TRUTH, True) == {name: wrong > 0 for name, wrong in found.items()}


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list(verdicts.IN_TIME))
def test_mistakes_in_when_it_is_written_are_caught(name: str) -> None:
    """One that denies first, or writes before it has read everything, fails under clients that always connect."""
    assert verdicts.wrong_of_mistaken_churn(name) > 0


def test_every_mistake_is_put_to_the_lab() -> None:
    """No mistake is listed that the lab does not try."""
    assert {*verdicts.IN_TRUTH, *verdicts.IN_TIME} == set(MISTAKES)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_fits_the_package(name: str, tmp_path: Path) -> None:
    """The text that a mistake changes stands once in the module, and the module still compiles with the change."""
    module = mistaken_package(name, tmp_path) / "exposure" / MISTAKES[name].module
    compile(module.read_text(), module, "exec")


OPEN, SHUT = Outcome.ANSWERED, Outcome.REFUSED


@pytest.mark.parametrize(
    "outcome, started, ended, right",
    [
        pytest.param(OPEN, -2, -1, True, id="before-the-change-as-it-was"),
        pytest.param(SHUT, -2, -1, False, id="before-the-change-not-yet"),
        pytest.param(OPEN, 1, 2, True, id="while-it-changes-the-old"),
        pytest.param(SHUT, 1, 2, True, id="while-it-changes-the-new"),
        pytest.param(SHUT, -1, 1, True, id="begun-before-and-met-the-new"),
        pytest.param(OPEN, 9, 11, True, id="begun-while-it-changed-and-met-the-old"),
        pytest.param(OPEN, 11, 12, False, id="afterwards-no-longer"),
        pytest.param(SHUT, 11, 12, True, id="afterwards-as-it-is"),
    ],
)
def test_verdicts_are_exact_outside_of_windows(
    outcome: Outcome, started: float, ended: float, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may meet old or new while a change of ten seconds is under way, and only what holds otherwise."""
    now = [-10.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timeline = Timeline({"who": True, "always": True})
    now[0] = 0.0
    with timeline.change("close", {"who": False}):
        now[0] = 10.0
    assert right == (timeline.judge("who", Seen(outcome, started=started, ended=ended)) is None)
    assert (outcome is OPEN) == (timeline.judge("always", Seen(outcome, started=started, ended=ended)) is None)
