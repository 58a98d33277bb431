"""The canary with real packets, in a cluster that enforces policies, and in one that ignores them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from exposure.controller.canary import NAME
from tests.cluster.operator_process import NAMESPACE, REPOSITORY, eventually
from tests.lab.kubelet import Kubelet
from tests.lab.lab import Lab
from tests.lab.operated import Operator
from tests.lab.pods import PodSpec
from tests.verify.stage import service

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("verify"), pytest.mark.timeout(300)]
ROLE = REPOSITORY / "manifests" / "overlays" / "canary" / "role.yaml"
SECONDS = 60.0


class Watched(Operator):
    """An operator whose canary is switched on, with the rights that the overlay adds and no other."""

    def install(self) -> None:
        super().install()
        self.lab.cluster.kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", str(ROLE))
        settings = {"enabled": True, "image": "registry.example/exposure-operator", "intervalSeconds": 30}
        self._config.write_text(yaml.safe_dump({"network": {"cni": "kube-router"}, "canary": settings}))


@contextmanager
def watched(lab: Lab) -> Iterator[Watched]:
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    lab.add_pods([PodSpec("shop", "web-0", "n1", {"app": "web"}, serves=(("TCP", 8080),))])
    lab.apply(service("web", "NodePort", 80, 8080))
    with Kubelet(lab, {"app.kubernetes.io/name": NAME}), Watched(lab) as operator:
        yield operator


def verified(operator: Operator) -> Mapping[str, Any] | None:
    for exposure in operator.lab.api.list("Exposure", "shop"):
        for condition in exposure["status"]["conditions"]:
            if condition["type"] == "Verified":
                return dict(condition)
    return None


@pytest.mark.parametrize(
    "enforcing, status_and_reason",
    [
        pytest.param(True, ("True", "Enforced"), id="a-cni-that-enforces"),
        pytest.param(False, ("False", "NotEnforced"), id="a-cni-that-ignores-policies"),
    ],
)
def test_the_condition_of_the_canary(enforcing: bool, status_and_reason: tuple[str, str]) -> None:
    """Each Exposure has the condition Verified with the evidence, and nothing of the canary is left after a round."""
    with Lab(enforcing=enforcing, metallb=False) as lab, watched(lab) as operator:
        condition = eventually(lambda: verified(operator), SECONDS, "a condition Verified", operator.tail)
        assert condition is not None
        assert status_and_reason == (condition["status"], condition["reason"])
        assert "succeeded" in condition["message"]

        def left() -> list[str]:
            objects = [*lab.api.list("Pod", NAMESPACE), *lab.api.list("NetworkPolicy", NAMESPACE)]
            names = [item["metadata"]["name"] for item in objects]
            return [name for name in names if name.startswith(NAME)]

        eventually(lambda: not left(), 30, "nothing is left", lambda: str(left()))
        assert "Forbidden" not in operator.log.read_text()

        def reasons() -> list[str]:
            events = lab.api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
            return [event["reason"] for event in events if event["regarding"].get("name") == NAMESPACE]

        eventually(reasons, 10, "an Event")
        assert [status_and_reason[1]] == reasons()
