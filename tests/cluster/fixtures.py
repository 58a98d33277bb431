"""A control plane per test process, and a namespace per test."""

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane

CRDS = Path(__file__).parents[2] / "crds"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster with the CRDs, shared by the tests of one pytest worker: a test keeps to namespaces of its own."""
    with ControlPlane(tmp_path_factory.mktemp("cluster")) as cluster:
        install_crds(cluster)
        yield cluster


@pytest.fixture
def fresh_control_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A cluster of the test's own, with the CRDs, for what touches all of it (restarts, cluster-wide policies)."""
    with ControlPlane(tmp_path / "cluster") as cluster:
        install_crds(cluster)
        yield cluster


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace, unique in the run; its deletion is started at the end and not waited for."""
    name = f"t{next(_numbers)}-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}-{uuid.uuid4().hex[:6]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def install_crds(cluster: ControlPlane, folder: Path = CRDS) -> None:
    """Applies a folder of CRDs and waits until the API server serves them, and its discovery lists them."""
    cluster.kubectl("apply", "--server-side", "-f", str(folder))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(folder))
    # Discovery follows a moment later, and kubectl would keep what it read before that.
    wanted = set(cluster.kubectl("get", "-o", "jsonpath={.items[*].metadata.name}", "-f", str(folder)).split())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if wanted <= set(cluster.kubectl("api-resources", "-o", "name").split()):
            return
        time.sleep(0.1)
    raise TimeoutError(f"discovery does not list {', '.join(sorted(wanted))} after 30 seconds")
