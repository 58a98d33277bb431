"""The lab's verdict on one operator: right, or what is wrong with it. Also on those that are mistaken on purpose."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.lab import churn, truth
from tests.lab.lab import Lab
from tests.lab.mistaken import mistaken_package
from tests.lab.operated import Operator

#: Which part of the lab catches each mistake, and the actions under which it shows.
IN_TRUTH = ("forgets-nodes", "uses-the-service-port", "skips-ipv6")
IN_TIME = {
    "denies-first": ("adopt or release a namespace", "label a namespace for the platform's policy"),
    "writes-before-it-has-read": ("nothing but a crash",),
}
_ENOUGH_PROBES, _ENOUGH_SECONDS = 20_000, 60.0


def wrong_of_mistaken_truth(names: Iterable[str] = IN_TRUTH) -> dict[str, int]:
    """Wrong cells of each operator, one after the other in one lab, under one policy."""
    wrong_by_name = {}
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="mistaken-") as folder:
        stage: truth.OperatedStage | None = None
        for name in names:
            package = mistaken_package(name, Path(folder, name))
            with Operator(lab, network={"cni": truth.CNI["pre"]}, package=package) as operator:
                if stage is None:
                    stage = truth.OperatedStage(lab, operator)
                stage.operator = operator
                wrong_by_name[name] = len(stage.run(truth.CASES[:1]).wrong)
        if stage:
            stage.close()
    return wrong_by_name


def wrong_of_mistaken_churn(name: str) -> int:
    """Wrong connections, until the first."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="mistaken-") as folder:
        package = mistaken_package(name, Path(folder, name))
        network = {"cni": churn.CNI}
        with Operator(lab, network=network, package=package, slow=churn.SLOW_WRITE_SECONDS) as operator:
            outcome = churn.run(
                lab, operator, 1, _ENOUGH_PROBES, _ENOUGH_SECONDS, kills=False, only=IN_TIME[name], until_wrong=True
            )
    return outcome.tally.wrong


def wrong_of_mistaken() -> dict[str, int]:
    """How much is wrong with each; 0 is a mistake that the lab does not catch."""
    return wrong_of_mistaken_truth() | {name: wrong_of_mistaken_churn(name) for name in IN_TIME}
