"""A small shop, and the real entry point over real files."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from exposure.cli import main

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str
    err: str


Flows: TypeAlias = Callable[..., Result]


@pytest.fixture
def flows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Flows:
    """`kubectl exposure flows ARGUMENTS -f shop.yaml`, in a folder of its own; `stdin` is what is piped into it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))

    def running(*arguments: str, stdin: bytes = b"", manifests: str = "shop.yaml") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(["flows", *arguments, "-f", str(FIXTURES / manifests)])
        except SystemExit as end:  # argparse ends this way
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return running


def fixture(name: str) -> str:
    return str(FIXTURES / name)
