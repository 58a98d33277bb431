"""Operators with a mistake put in on purpose: a patch each, applied to a copy of the package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.lab.operated import PACKAGE

PATCHES = Path(__file__).with_name("mistakes")


def mistakes() -> list[str]:
    """The names of the patches."""
    return sorted(path.stem for path in PATCHES.glob("*.patch"))


def mistaken_package(name: str, folder: Path) -> Path:
    """A folder for PYTHONPATH with the package as the patch makes it; RuntimeError if the patch no longer fits."""
    shutil.copytree(PACKAGE / "exposure", folder / "exposure", ignore=shutil.ignore_patterns("__pycache__"))
    ran = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-p1", str(PATCHES / f"{name}.patch")],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
        # The folder may lie inside a repository, which is not what the patch is about.
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)},
    )  # fmt: skip
    if ran.returncode != 0:
        raise RuntimeError(f"{name}.patch does not fit operator/exposure any longer: {ran.stderr.strip()}")
    return folder
