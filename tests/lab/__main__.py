"""The packet lab.

    python -m tests.lab          run all of it, write build/lab.json; exit status 1 if anything was wrong
    python -m tests.lab up       bring one lab up and hold it until Ctrl-C, `down`, or the end of this process
    python -m tests.lab down     end every lab that `up` holds

Needs root. $LAB_CNI names a kube-router binary that enforces in place of the lab's own enforcer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from exposure.catalog.decision_table import ROWS
from exposure.model.exposures import DecisionRow
from tests.lab import cells, churn, truth, verdicts
from tests.lab.agreement import Agreement, compare
from tests.lab.folders import FOLDER
from tests.lab.lab import Lab
from tests.lab.operated import Operator

REPORT = Path(__file__).resolve().parents[2] / "build" / "lab.json"
ORACLE_SEEDS = range(1, 11)
VARIANTS = (("pre", "iptables"), ("post", "iptables"), ("pre", "nftables"))
#: Position, kube-proxy's mode, and a CNI profile with the same SNAT addresses as the lab's nodes.
OPERATED = (
    ("pre", "iptables", "kube-router"),
    ("post", "iptables", "aws-vpc-cni"),
    ("pre", "nftables", "calico"),
)
PROBES, ROUNDS, CHURN_SECONDS, SEED = 50_000, 4, 900.0, 7
NOT_SHOWN = {
    "post": "needs an enforcer that filters after SNAT",
    "preserving": "needs a data plane that forwards between nodes without SNAT (eBPF or DSR); kube-proxy has none",
    "identity-snat": "needs Cilium, which matches identities and not addresses",
}
_HELD = "held"
_SHOWN = 20


@dataclass(slots=True)
class Report:
    """The content of build/lab.json.

    `packet_cells` are those of the operator's own policies: packets against oracle, Exposure and intent.
    `enforcer_cells` are packets against the oracle under policies written by hand. `mistakes_caught` counts what was
    wrong with each operator that is mistaken on purpose. `rows_shown` counts connections by the row of the decision
    table that admits them; `rows_not_shown` has the reason for each other row.
    """

    enforcer: str
    packet_cells: int = 0
    packet_wrong: int = 0
    oracle_cells: int = 0
    oracle_wrong: int = 0
    probes: int = 0
    probes_wrong: int = 0
    enforcer_cells: int = 0
    enforcer_wrong: int = 0
    admitted_as_node: int = 0
    kills: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    mistakes_caught: dict[str, int] = field(default_factory=dict)
    rows_shown: dict[str, int] = field(default_factory=dict)
    rows_not_shown: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        """Everything was as expected, and there was enough of it."""
        measured = self.packet_cells and self.oracle_cells and self.probes >= PROBES
        wrong = self.packet_wrong + self.oracle_wrong + self.probes_wrong + self.enforcer_wrong
        return bool(measured) and not wrong and all(self.mistakes_caught.values())

    def write(self) -> None:
        """As JSON, whole or not at all."""
        REPORT.parent.mkdir(exist_ok=True)
        part = REPORT.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=2) + "\n")
        part.rename(REPORT)


def agree_with_oracle(report: Report) -> None:
    """The enforcer's model against the oracle on generated clusters."""
    with ProcessPoolExecutor(2) as pool:
        for seed, agreement in zip(ORACLE_SEEDS, pool.map(compare, ORACLE_SEEDS), strict=True):
            _print_agreement(seed, agreement)
            report.oracle_cells += agreement.cells
            report.oracle_wrong += len(agreement.wrong)


def _print_agreement(seed: int, agreement: Agreement) -> None:
    print(
        f"oracle, seed {seed}: {agreement.cells} cells, {agreement.allowed} allowed, {len(agreement.wrong)} wrong",
        flush=True,
    )
    for wrong in agreement.wrong[:_SHOWN]:
        print(f"  {wrong}")


def check_enforcer(report: Report, position: str, proxy_mode: str) -> None:
    """Every packet cell of one variant of the lab."""
    began = time.monotonic()
    with Lab(position=position, proxy_mode=proxy_mode) as lab:
        up = time.monotonic() - began
        # kube-router is started for IPv4 only.
        result = cells.run(cells.Stage(lab, families=(0,) if os.environ.get("LAB_CNI") else (0, 1)))
    took = time.monotonic() - began
    print(
        f"packets, {position}-SNAT, kube-proxy {proxy_mode}: up in {up:.1f} s; {result.cells} cells, {result.passed} "
        f"let through, {len(result.wrong)} wrong, {result.oracle_wrong} where model and oracle differ; {took:.0f} s",
        flush=True,
    )
    for wrong in result.wrong[:_SHOWN]:
        print(f"  {wrong}")
    report.enforcer_cells += result.cells
    report.enforcer_wrong += len(result.wrong)
    report.oracle_cells += result.cells
    report.oracle_wrong += result.oracle_wrong


def check_operator(report: Report, position: str, proxy_mode: str, cni: str, families: tuple[int, ...]) -> None:
    """The operator's policies and Exposures, every packet cell of one variant of the lab."""
    began = time.monotonic()
    with Lab(position=position, proxy_mode=proxy_mode) as lab, Operator(lab, network={"cni": cni}) as operator:
        stage = truth.OperatedStage(lab, operator, families)
        result = stage.run(truth.CASES)
        stage.close()
    print(
        f"operator, {position}-SNAT as {cni}, kube-proxy {proxy_mode}: {result.cells} cells, {result.passed} let "
        f"through, {len(result.wrong)} wrong; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    for wrong in result.wrong[:_SHOWN]:
        print(f"  {wrong}")
    report.packet_cells += result.cells
    report.packet_wrong += len(result.wrong)
    report.admitted_as_node += result.as_node
    report.rows_shown = dict(sorted((Counter(report.rows_shown) + result.rows).items()))


def check_while_changing(report: Report, families: tuple[int, ...]) -> None:
    """Clients that connect all the time, while everything changes and the operator is killed."""
    with Lab() as lab, Operator(lab, network={"cni": churn.CNI}, slow=churn.SLOW_WRITE_SECONDS) as operator:
        outcome = churn.run(lab, operator, SEED, PROBES, CHURN_SECONDS, families=families, rounds=ROUNDS)
    tally = outcome.tally
    print(
        f"probes: {tally.probes}, {tally.passed} let through, {outcome.wrong} wrong; {len(outcome.actions)} actions, "
        f"operator killed {outcome.kills} times; {outcome.seconds:.0f} s",
        flush=True,
    )
    for wrong in (*outcome.late, *tally.wrong_shown[:_SHOWN]):
        print(f"  {wrong}")
    report.probes, report.probes_wrong = tally.probes, outcome.wrong
    report.actions, report.kills = dict(Counter(outcome.actions)), outcome.kills


def catch_mistakes(report: Report) -> None:
    """Each operator that is mistaken on purpose must be found wrong."""
    report.mistakes_caught = verdicts.wrong_of_mistaken()
    for name, wrong in report.mistakes_caught.items():
        print(f"mistaken operator, {name}: {f'{wrong} wrong' if wrong else 'NOT CAUGHT'}", flush=True)


def run_all() -> int:
    """Everything, one after the other; 0 if all of it was right."""
    began = time.monotonic()
    cni = os.environ.get("LAB_CNI")
    # kube-router filters before SNAT, and is started for IPv4 only.
    families = (0,) if cni else (0, 1)
    REPORT.unlink(missing_ok=True)  # an earlier run's report is not this run's
    report = Report(enforcer=Path(cni).name if cni else "nftables, the lab's own")
    agree_with_oracle(report)
    for position, proxy_mode in VARIANTS[:1] if cni else VARIANTS:
        check_enforcer(report, position, proxy_mode)
    for variant in OPERATED[:1] if cni else OPERATED:
        check_operator(report, *variant, families)
    check_while_changing(report, families)
    if not cni:
        catch_mistakes(report)
    report.rows_not_shown = {row.id: _why_not(row) for row in ROWS if row.id not in report.rows_shown}
    report.seconds = round(time.monotonic() - began)
    report.write()
    print(REPORT.read_text(), end="")
    return 0 if report.is_right else 1


def _why_not(row: DecisionRow) -> str:
    for position, why in NOT_SHOWN.items():
        if position in (row.positions or ()):
            return why
    return "no connection of this run was admitted by it"


def up(arguments: argparse.Namespace) -> int:
    """Hold a lab until Ctrl-C or `down`."""
    with Lab(nodes=arguments.nodes, position=arguments.position, proxy_mode=arguments.proxy_mode) as lab:
        (lab.root / _HELD).touch()
        print(f"up in {sum(lab.timings.values()):.1f} s; Ctrl-C or `python -m tests.lab down` ends it\n")
        for name in sorted(os.listdir(lab.namespaces)):
            print(f"  {name:16} nsenter --net={lab.namespaces / name}")
        kubectl = f"{lab.cluster.binaries / 'kubectl'} --kubeconfig {lab.cluster.kubeconfig}"
        print(f"\n  nsenter --net={lab.namespaces}/control-plane {kubectl} get nodes")
        sys.stdout.flush()
        signal.pause()
    return 0


def down() -> int:
    """Ask every holder to end, and wait until it has."""
    for held in Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{_HELD}"):
        owner = int(held.parent.name.removeprefix(FOLDER).partition("-")[0])
        if not Path("/proc", str(owner)).exists() or b"tests.lab" not in Path(f"/proc/{owner}/cmdline").read_bytes():
            continue
        os.kill(owner, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while held.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        print(f"lab of process {owner}: {'still there' if held.exists() else 'ended'}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", choices=["run", "up", "down"], default="run")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--position", choices=["pre", "post"], default="pre")
    parser.add_argument("--proxy-mode", choices=["iptables", "nftables"], default="iptables")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("network namespaces need root")

    def end(*_: object) -> None:
        # Ending a lab that is held is a success; ending a run is not.
        raise SystemExit(0 if arguments.what == "up" else 128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        return {"run": run_all, "up": lambda: up(arguments), "down": down}[arguments.what]()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
