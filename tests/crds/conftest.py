"""One API server with the three CRDs, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.crds.api import CRDS, Api


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Validation is the API server's own: no controllers are needed, and none run."""
    with ControlPlane(tmp_path_factory.mktemp("crds"), controllers=False) as cluster:
        install_crds(cluster, CRDS)
        yield cluster


@pytest.fixture(scope="session")
def api(cluster: ControlPlane) -> Iterator[Api]:
    client = Api(cluster.url, cluster.admin_token, cluster.ca_file)
    yield client
    client.close()
