"""The demo itself, as a machine sees it."""

import re
import subprocess
import sys

from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import REPOSITORY
from tests.demo.story import STEPS


def test_the_demo_tells_its_whole_story(control_plane: ControlPlane) -> None:
    """Every step comes out as promised, in plain text, and nothing is left running."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.demo", "--fast"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout[-3000:]
    assert len(STEPS) == len(re.findall(r"^== \d+\. .* ==$", ran.stdout, re.MULTILINE))
    assert "\x1b" not in ran.stdout
