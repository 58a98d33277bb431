"""The bench, on a small cluster."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import REPOSITORY

NUMBERS = {
    *("cold_s", "bare_writer_s", "change_p50_ms", "change_p99_ms"),
    *("cpu_ms_per_service", "peak_mib", "idle_writes", "idle_cpu_s"),
}


def test_a_small_bench_measures_everything(control_plane: ControlPlane, tmp_path: Path) -> None:
    """The report has every number, and an idle operator writes nothing."""
    size = ("--services", "20", "--namespaces", "4", "--rounds", "1", "--changes", "3", "--idle", "3")
    output = tmp_path / "bench.json"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", *size, "--output", str(output)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(output.read_text())
    assert NUMBERS <= result.keys()
    assert (0, 20, 4) == (result["idle_writes"], result["services"], result["namespaces"])
    assert 0 < result["bare_writer_s"] < result["bare_writer_process_s"]
    assert 0 < result["cold_to_first_list_s"] < result["cold_to_last_list_s"] < result["cold_s"]
