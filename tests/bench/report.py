"""The result: a table for people, build/bench.json for machines."""

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.rounds import Bare, Cold, median, quantile

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT = REPOSITORY / "build" / "bench.json"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


@dataclass(frozen=True, slots=True)
class Result:
    """Of several rounds the median; memory is the worst. `_s` seconds, `_ms` milliseconds, `_mib` MiB."""

    services: int
    namespaces: int
    rounds: int
    cold_s: float
    bare_writer_s: float
    cold_ratio: float
    bare_writer_process_s: float
    cold_ratio_process: float
    cold_to_first_list_s: float
    cold_to_last_list_s: float
    cold_to_first_write_s: float
    reported_s: float
    change_p50_ms: float
    change_p99_ms: float
    change_max_ms: float
    bare_change_p50_ms: float
    bare_change_p99_ms: float
    cpu_ms_per_service: float
    cpu_ms_per_service_policies: float
    peak_mib: float
    idle_seconds: float
    idle_writes: int
    idle_lease_renewals: int
    idle_cpu_s: float
    load_average: float
    cpus: int
    python: str
    cold_rounds_s: list[float]
    bare_rounds_s: list[float]

    @classmethod
    def of(
        cls,
        arguments: argparse.Namespace,
        colds: list[Cold],
        bares: list[Bare],
        changes: list[float],
        bare_changes: list[float],
        idle: tuple[dict[str, int], int, float],
    ) -> "Result":
        loads = [start.load for start in colds] + [bare_run.load for bare_run in bares]
        cold = median([start.seconds for start in colds])
        bare = median([bare_run.seconds for bare_run in bares])
        whole = median([bare_run.process_seconds for bare_run in bares])
        writes, others, cpu = idle
        return cls(
            services=arguments.services,
            namespaces=arguments.namespaces,
            rounds=arguments.rounds,
            cold_s=round(cold, 3),
            bare_writer_s=round(bare, 3),
            cold_ratio=round(cold / bare, 2),
            bare_writer_process_s=round(whole, 3),
            cold_ratio_process=round(cold / whole, 2),
            cold_to_first_list_s=round(median([start.first_list for start in colds]), 3),
            cold_to_last_list_s=round(median([start.last_list for start in colds]), 3),
            cold_to_first_write_s=round(median([start.first_write for start in colds]), 3),
            reported_s=round(median([start.reported for start in colds]), 3),
            change_p50_ms=round(quantile(changes, 0.5), 2),
            change_p99_ms=round(quantile(changes, 0.99), 2),
            change_max_ms=round(max(changes), 2),
            bare_change_p50_ms=round(quantile(bare_changes, 0.5), 2),
            bare_change_p99_ms=round(quantile(bare_changes, 0.99), 2),
            cpu_ms_per_service=round(median([start.cpu_reported for start in colds]) * 1000 / arguments.services, 3),
            cpu_ms_per_service_policies=round(
                median([start.cpu_policies for start in colds]) * 1000 / arguments.services, 3
            ),
            peak_mib=round(max(start.peak for start in colds), 1),
            idle_seconds=arguments.idle,
            idle_writes=others,
            idle_lease_renewals=writes.get("leases", 0),
            idle_cpu_s=round(cpu, 3),
            load_average=round(median(loads), 2),
            cpus=os.cpu_count() or 0,
            python=platform.python_version(),
            cold_rounds_s=[round(start.seconds, 3) for start in colds],
            bare_rounds_s=[round(bare_run.seconds, 3) for bare_run in bares],
        )


def write(result: Result, path: Path) -> None:
    """As JSON, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(result), indent=2) + "\n")
    part.rename(path)


def fill_readme(result: Result) -> None:
    """Puts the table between its two marks."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| measured | | bound | kept |", "|---|---:|---|---|"]
    lines += [f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows(result)]
    README.write_text(f"{before}{BEGIN}" + "\n".join(lines) + f"\n\n{conditions(result)}.\n{END}{after}")


def conditions(result: Result) -> str:
    return (
        f"Median of {result.rounds} rounds on {result.cpus} CPUs shared by all parts, load average "
        f"{result.load_average} at their start, Python {result.python}; {result.services} Services in "
        f"{result.namespaces} namespaces"
    )


def rows(result: Result) -> list[tuple[str, str, str, str]]:
    """What, measured, bound and whether it is kept; no bound: blank."""
    return [
        (f"cold start to all {result.services + result.namespaces} policies", f"{result.cold_s:.2f} s", "", ""),
        ("  from its start to its first list", f"{result.cold_to_first_list_s:.2f} s", "", ""),
        ("  … to the whole cluster read", f"{result.cold_to_last_list_s:.2f} s", "", ""),
        ("  … to its first policy", f"{result.cold_to_first_write_s:.2f} s", "", ""),
        ("bare writer, from its first request", f"{result.bare_writer_s:.2f} s", "", ""),
        ("cold start / bare writer", f"{result.cold_ratio:.2f} ×", *_bound(result.cold_ratio, 1.5, "≤ 1.5 ×")),
        ("bare writer, from the start of its process", f"{result.bare_writer_process_s:.2f} s", "", ""),
        ("  cold start / bare writer's process", f"{result.cold_ratio_process:.2f} ×", "", ""),
        ("cold start to all Exposures and status", f"{result.reported_s:.2f} s", "", ""),
        (
            "new Service to its policy, p50",
            f"{result.change_p50_ms:.1f} ms",
            *_bound(result.change_p50_ms, 10, "< 10 ms"),
        ),
        (
            "new Service to its policy, p99",
            f"{result.change_p99_ms:.1f} ms",
            *_bound(result.change_p99_ms, 50, "< 50 ms"),
        ),
        ("new Service to its policy, worst", f"{result.change_max_ms:.1f} ms", "", ""),
        (
            "a bare write of one policy, p50 and p99",
            f"{result.bare_change_p50_ms:.1f}, {result.bare_change_p99_ms:.1f} ms",
            "",
            "",
        ),
        ("CPU for each Service, policies alone", f"{result.cpu_ms_per_service_policies:.2f} ms", "", ""),
        ("CPU for each Service, everything reported", f"{result.cpu_ms_per_service:.2f} ms", "", ""),
        ("peak resident memory", f"{result.peak_mib:.0f} MiB", *_bound(result.peak_mib * 1.048576, 130, "< 130 MB")),
        (
            f"writes in {result.idle_seconds:.0f} s without changes",
            str(result.idle_writes),
            *_bound(result.idle_writes, 0, "0"),
        ),
        ("  and renewals of the lease", str(result.idle_lease_renewals), "", ""),
        ("CPU in these seconds", f"{result.idle_cpu_s:.2f} s", "", ""),
    ]


def _bound(value: float, most: float, text: str) -> tuple[str, str]:
    return text, "yes" if value <= most else "NO"


def print_table(result: Result) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in ("measured", "", "bound", "kept"):
        table.add_column(title, justify="right" if not title else "left")
    for row in rows(result):
        table.add_row(*row, style="red" if row[3] == "NO" else "")
    console = Console(highlight=False)
    console.print(table)
    console.print(conditions(result))
