"""The lab's verdict on one operator: right, or what is wrong with it. Also on those that are mistaken on purpose."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.lab import churn, truth
from tests.lab.lab import Lab
from tests.lab.mistaken import mistaken_package
from tests.lab.operated import Operator

#: Which part of the lab each mistake is put to, and the deeds under which it shows.
IN_TRUTH = ("forgets-nodes", "uses-the-service-port", "skips-ipv6")
IN_TIME = {
    "denies-first": ("adopt or release a namespace", "label a namespace for the platform's policy"),
    "writes-before-it-has-read": ("nothing but a crash",),
}
_ENOUGH_PROBES, _ENOUGH_SECONDS = 20_000, 60.0


def wrong_of_mistaken_truth(names: Iterable[str] = IN_TRUTH) -> dict[str, int]:
    """Wrong cells of each operator, one after the other in one lab, under one policy."""
    found = {}
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="mistaken-") as folder:
        stage: truth.OperatedStage | None = None
        for name in names:
            package = mistaken_package(name, Path(folder, name))
            with Operator(lab, network={"cni": truth.CNI["pre"]}, package=package) as operator:
                if stage is None:
                    stage = truth.OperatedStage(lab, operator)
                stage.operator = operator
                found[name] = len(stage.run(truth.CASES[:1]).wrong)
        if stage:
            stage.close()
    return found


def wrong_of_mistaken_churn(name: str) -> int:
    """Connections that met what they must not, until there was one."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="mistaken-") as folder:
        package = mistaken_package(name, Path(folder, name))
        network = {"cni": churn.CNI}
        with Operator(lab, network=network, package=package, slow=churn.SLOW_WRITE_SECONDS) as operator:
            found = churn.run(
                lab, operator, 1, _ENOUGH_PROBES, _ENOUGH_SECONDS, kills=False, only=IN_TIME[name], until_wrong=True
            )
    return found.tally.wrong


def wrong_of_mistaken() -> dict[str, int]:
    """How much is wrong with each of them; 0 would be a mistake that the lab does not see."""
    return wrong_of_mistaken_truth() | {name: wrong_of_mistaken_churn(name) for name in IN_TIME}
