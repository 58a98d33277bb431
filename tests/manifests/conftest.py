"""One API server on which the manifests are installed as a user installs them."""

from collections.abc import Iterator

import pytest

from tests.cluster.binaries import binaries, gateway_api_crds
from tests.cluster.control_plane import ControlPlane
from tests.manifests.helm.build import renderer
from tests.manifests.reading import MANIFESTS


def pytest_collection_finish(session: pytest.Session) -> None:
    # Before the first test, because a build of minutes would run into that test's time limit.
    if any("tests/manifests/" in item.nodeid for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries()
            renderer()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """`kubectl apply -k manifests/base`, on a cluster with the Gateway API."""
    with ControlPlane(tmp_path_factory.mktemp("manifests")) as cluster:
        cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "base"))
        cluster.kubectl("apply", "--server-side", "-f", str(gateway_api_crds() / "standard"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        yield cluster
