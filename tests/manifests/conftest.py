"""One API server on which the manifests are installed as a person would install them."""

from collections.abc import Iterator

import pytest

from tests.cluster.binaries import gateway_api_crds
from tests.cluster.control_plane import ControlPlane
from tests.manifests.reading import MANIFESTS


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """`kubectl apply -k manifests/base`, on a cluster with the Gateway API."""
    with ControlPlane(tmp_path_factory.mktemp("manifests")) as cluster:
        cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "base"))
        cluster.kubectl("apply", "--server-side", "-f", str(gateway_api_crds() / "standard"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        yield cluster
