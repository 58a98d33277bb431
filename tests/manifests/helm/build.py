"""Helm's own template engine in a program of our own, built once: what `helm template` prints, without helm.

python -m tests.manifests.helm.build       # builds if need be, prints the program
"""

import hashlib
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path

from tests.cluster.binaries import compile_go, go_command, locked, run_go

_HERE = Path(__file__).parent
_SOURCES = ("go.mod", "go.sum", "main.go")


@cache
def renderer() -> Path:
    """The program: chart folder, namespace, values file in; YAML out. Raises RuntimeError if the build fails."""
    key = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for name in _SOURCES:
        key.update((_HERE / name).read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = home / "exposure-operator" / f"helm-{key.hexdigest()[:12]}"
    if not program.exists():
        with locked(program):
            if not program.exists():
                _build(program)
    return program


def _build(program: Path) -> None:
    go = go_command(program.parent)
    part = program.with_name(program.name + ".build")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in _SOURCES:
        shutil.copy(_HERE / name, part / name)
    compile_go(
        [go, "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", str(part / "out"), "."],
        part,
        "Helm's template engine",
        total=len(run_go([go, "list", "-deps", "."], part).splitlines()),
    )
    (part / "out").rename(program)  # last, and atomic: who sees it sees a whole one
    shutil.rmtree(part)


if __name__ == "__main__":
    try:
        print(renderer())
    except RuntimeError as error:
        sys.exit(str(error))
