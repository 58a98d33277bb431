"""The examples: a real API server accepts each one as it is."""

from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.manifests.reading import REPOSITORY, documents

pytestmark = pytest.mark.xdist_group("installed")
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", [pytest.param(each, id=each.stem) for each in EXAMPLES])
def test_an_example_can_be_applied_as_it_stands(installed: ControlPlane, path: Path) -> None:
    """Namespaces, Services, policies and routes alike, every field known to the server, and no warning."""
    ran = installed.kubectl_result("apply", "--validate=strict", "-f", str(path))
    assert (0, "") == (ran.returncode, ran.stderr)


def test_every_example_is_listed() -> None:
    """The table in examples/README.md names each file."""
    listed = (REPOSITORY / "examples" / "README.md").read_text()
    assert [] == [each.name for each in EXAMPLES if f"[{each.name}]({each.name})" not in listed]


@pytest.mark.parametrize("path", [pytest.param(each, id=each.stem) for each in EXAMPLES])
def test_an_example_has_a_policy_of_ours(path: Path) -> None:
    """Every example shows a policy."""
    kinds = {each["kind"] for each in documents(path.read_text())}
    assert kinds & {"ExposurePolicy", "ClusterExposurePolicy"}
