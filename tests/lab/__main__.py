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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cells
from tests.lab.agreement import Agreement, compare
from tests.lab.lab import FOLDER, Lab

REPORT = Path(__file__).resolve().parents[2] / "build" / "lab.json"
ORACLE_SEEDS = range(1, 11)
VARIANTS = (("pre", "iptables"), ("post", "iptables"), ("pre", "nftables"))
_HELD = "held"
_SHOWN = 20


@dataclass(slots=True)
class Report:
    """What build/lab.json says. None: not measured in this run."""

    enforcer: str
    packet_cells: int = 0
    packet_wrong: int = 0
    oracle_cells: int = 0
    oracle_wrong: int = 0
    probes: int | None = None
    probes_wrong: int | None = None

    @property
    def is_right(self) -> bool:
        """Everything that was measured was as expected, and something was."""
        return bool(self.packet_cells and self.oracle_cells) and not (
            self.packet_wrong or self.oracle_wrong or self.probes_wrong
        )

    def write(self) -> None:
        """As JSON, whole or not at all."""
        REPORT.parent.mkdir(exist_ok=True)
        part = REPORT.with_suffix(".part")
        part.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}, indent=2) + "\n")
        part.rename(REPORT)


def agree_with_oracle(report: Report) -> None:
    """The enforcer's model against the oracle on generated clusters."""
    with ProcessPoolExecutor(2) as pool:
        for seed, found in zip(ORACLE_SEEDS, pool.map(compare, ORACLE_SEEDS), strict=True):
            _say_agreement(seed, found)
            report.oracle_cells += found.cells
            report.oracle_wrong += len(found.wrong)


def _say_agreement(seed: int, found: Agreement) -> None:
    print(f"oracle, seed {seed}: {found.cells} cells, {found.allowed} allowed, {len(found.wrong)} wrong", flush=True)
    for wrong in found.wrong[:_SHOWN]:
        print(f"  {wrong}")


def send_packets(report: Report, position: str, proxy_mode: str) -> None:
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
    report.packet_cells += result.cells
    report.packet_wrong += len(result.wrong)
    report.oracle_cells += result.cells
    report.oracle_wrong += result.oracle_wrong


def run_all() -> int:
    """Everything, one after the other; 0 if all of it was right."""
    cni = os.environ.get("LAB_CNI")
    report = Report(enforcer=Path(cni).name if cni else "nftables, the lab's own")
    agree_with_oracle(report)
    for position, proxy_mode in VARIANTS[:1] if cni else VARIANTS:  # kube-router filters before SNAT
        send_packets(report, position, proxy_mode)
    report.write()
    print(REPORT.read_text(), end="")
    return 0 if report.is_right else 1


def up(wants: argparse.Namespace) -> int:
    """Hold a lab until somebody ends it."""
    with Lab(nodes=wants.nodes, position=wants.position, proxy_mode=wants.proxy_mode) as lab:
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
    wants = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("network namespaces need root")

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        return {"run": run_all, "up": lambda: up(wants), "down": down}[wants.what]()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
