"""Operators with a mistake put in on purpose: one line changed in a copy of the package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.operated import PACKAGE


@dataclass(frozen=True)
class Mistake:
    """What stands once in a module of the package, and the wrong text in its place."""

    module: str
    right: str
    wrong: str


MISTAKES = {
    "forgets-nodes": Mistake(
        "catalog/decision_table.py",
        '"Cluster", ("pre", "unknown"),     (NODES, CLIENTS, HEALTH_CHECKS),',
        '"Cluster", ("pre", "unknown"),     (CLIENTS, HEALTH_CHECKS),',
    ),
    "uses-the-service-port": Mistake(
        "resolve/ports.py", "(PolicyPort(port.protocol, port.target_port),)", "(PolicyPort(port.protocol, port.port),)"
    ),
    "skips-ipv6": Mistake(
        "resolve/clients.py", "return written or tuple(from_addresses)", 'return ("IPv4",) or tuple()'
    ),
    "denies-first": Mistake(
        "plan/transition.py", "self.after.get(DEFAULT_DENY), (2, 0))", "self.after.get(DEFAULT_DENY), (0, -1))"
    ),
    "writes-before-it-has-read": Mistake(
        "controller/operator.py", "await reflector.synced.wait()", "reflector.synced.is_set()"
    ),
}


def mistaken_package(name: str, folder: Path) -> Path:
    """A folder for PYTHONPATH with the package and the mistake in it; RuntimeError if the mistake no longer fits."""
    mistake = MISTAKES[name]
    shutil.copytree(PACKAGE / "exposure", folder / "exposure", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "exposure" / mistake.module
    source = module.read_text()
    if source.count(mistake.right) != 1:
        raise RuntimeError(f"{name}: {mistake.module} has {source.count(mistake.right)} times: {mistake.right}")
    module.write_text(source.replace(mistake.right, mistake.wrong))
    return folder
