"""The folders of labs, one each, named after the process that holds the lab."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

FOLDER = "exposure-lab-"


def sweep() -> None:
    """Remove the folders of labs whose process is gone. (Their namespaces went with it.)"""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
