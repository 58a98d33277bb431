"""Host ports of pods: a Service stands for them, or a policy's status says that nothing does."""

import pytest

from tests.unit.snapshots import Json, pod, policy, resolved, service


def listening(name: str, host_port: int, protocol: str = "TCP", app: str = "", host_network: bool = False) -> Json:
    port = {"containerPort": 8443, "hostPort": host_port, "protocol": protocol}
    containers = [{"name": "main", "ports": [port]}]
    return pod(name, labels={"app": app or name}, hostNetwork=host_network, containers=containers)


@pytest.mark.parametrize(
    "pods, said",
    [
        pytest.param([listening("web", 443)], "", id="a-service-stands-before-them"),
        pytest.param(
            [listening("game-1", 7777, "UDP", app="game"), listening("game-2", 7777, "UDP", app="game")],
            "No Service selects the pods with hostPort 7777/UDP, so nothing is opened for them. Create a Service.",
            id="no-service-selects-them",
        ),
        pytest.param([listening("agent", 443, host_network=True)], "", id="on-their-nodes-network"),
    ],
)
def test_host_ports_without_a_service_are_reported(pods: list[Json], said: str) -> None:
    """No Exposure can stand for them, because no Service is their entry point; the namespace's policies say it."""
    found = resolved(service(), policy(entryPoints=["HostPort"]), *pods)
    assert [said] == [each.note for each in found.outcomes]
