"""The canary deletes what an earlier round left behind, on a real API server that runs no pods."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exposure.controller.canary import NAME
from tests.cluster.api import Api, Object, network_policy
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.cluster.operator_process import NAMESPACE, REPOSITORY, OperatorProcess, eventually

ROLE = REPOSITORY / "manifests" / "overlays" / "canary" / "role.yaml"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("canary") / "cluster") as cluster:
        install_crds(cluster)
        yield cluster


@pytest.fixture
def operator(cluster: ControlPlane, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator whose canary is switched on, with the rights that the overlay adds and no others. It is stopped."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"canary": {"enabled": True, "image": "registry.example/operator:1"}}))
    process = OperatorProcess(cluster, tmp_path / "operator", flags=("--config", str(config)))
    process.start()
    cluster.kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", str(ROLE))
    process.kill()
    yield process
    process.stop()


def names(api: Api, kind: str) -> set[str]:
    return {raw["metadata"]["name"] for raw in api.items(kind, NAMESPACE)}


def pod(name: str, **labels: str) -> Object:
    context = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": NAMESPACE, "name": name, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app", "securityContext": context}]},
    }


def test_a_round_first_deletes_what_an_earlier_one_left(cluster: ControlPlane, operator: OperatorProcess) -> None:
    """The operator was killed in the middle of a round. What belongs to others stays, whatever its name or label."""
    api = Api(cluster)
    label = {"app.kubernetes.io/name": NAME}
    api.create(pod("exposure-canary-of-others"))
    api.create(pod("labelled", **label))
    api.create(network_policy(NAMESPACE, "exposure-canary"))

    operator.start()
    others = {"exposure-canary-of-others", "labelled"}
    first = eventually(lambda: names(api, "Pod") - others, 60, "a server pod", operator.tail)
    operator.kill()
    api.create(network_policy(NAMESPACE, "exposure-canary-policy-1", labels=label))
    operator.start()
    eventually(lambda: not first & names(api, "Pod"), 60, "the first server pod is gone", operator.tail)
    eventually(lambda: names(api, "Pod") - others, 60, "a second server pod", operator.tail)
    assert others < names(api, "Pod")
    assert {"exposure-canary"} == names(api, "NetworkPolicy")
    assert "Forbidden" not in operator.log.read_text()
