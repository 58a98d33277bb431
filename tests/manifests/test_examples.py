"""The examples: a real API server accepts each one as it is."""

from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.manifests.reading import REPOSITORY, documents

pytestmark = pytest.mark.xdist_group("installed")
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_an_example_can_be_applied_as_it_stands(installed: ControlPlane, path: Path) -> None:
    """Namespaces, Services, policies and routes alike, every field known to the server, and no warning."""
    ran = installed.kubectl_result("apply", "--validate=strict", "-f", str(path))
    assert (0, "") == (ran.returncode, ran.stderr)


def test_every_example_is_listed() -> None:
    """The table in examples/README.md names every file."""
    listed = (REPOSITORY / "examples" / "README.md").read_text()
    assert [] == [path.name for path in EXAMPLES if f"[{path.name}]({path.name})" not in listed]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_an_example_shows_a_policy(path: Path) -> None:
    """An ExposurePolicy, a ClusterExposurePolicy, or both."""
    kinds = {document["kind"] for document in documents(path.read_text())}
    assert kinds & {"ExposurePolicy", "ClusterExposurePolicy"}
