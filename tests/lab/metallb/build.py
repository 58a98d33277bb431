"""MetalLB's own controller and speaker, built once from its Go module and kept beside the control plane's binaries.

python -m tests.lab.metallb.build       # builds if need be, prints the folder
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path

from tests.cluster.binaries import compile_go, go_command, locked, run_go

MODULE = "go.universe.tf/metallb"
COMMANDS = ("controller", "speaker")
_HERE = Path(__file__).parent
_SOURCES = ("go.mod", "go.sum", "tools.go")


@cache
def metallb() -> Path:
    """The folder that holds `controller`, `speaker` and `crds/`. Raises RuntimeError if the build fails."""
    key = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for name in _SOURCES:
        key.update((_HERE / name).read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "exposure-operator" / f"metallb-{key.hexdigest()[:12]}"
    if not folder.exists():
        with locked(folder):
            if not folder.exists():
                _build(folder)
    return folder


def _build(folder: Path) -> None:
    go = go_command(folder.parent)
    part = folder.with_name(folder.name + ".build")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in _SOURCES:
        shutil.copy(_HERE / name, part / name)
    commands = [f"{MODULE}/{name}" for name in COMMANDS]
    packages = run_go([go, "list", "-deps", *commands], part).splitlines()
    out = part / "out"
    out.mkdir()
    compile_go(
        [go, "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", f"{out}/", *commands],
        part,
        "MetalLB",
        total=len(packages),
    )
    source = Path(run_go([go, "list", "-m", "-f", "{{.Dir}}", MODULE], part).strip())
    (out / "crds").mkdir()
    for crd in (source / "config" / "crd" / "bases").glob("*.yaml"):
        (out / "crds" / crd.name).write_bytes(crd.read_bytes())
    out.rename(folder)  # last, and atomic: who sees it sees a whole one
    shutil.rmtree(part)


if __name__ == "__main__":
    try:
        print(metallb())
    except RuntimeError as error:
        sys.exit(str(error))
