"""Exposed Services that may select the same pods."""

import pytest

from exposure.labels import selecting
from exposure.model.objects import Pod
from exposure.resolve.overlaps import shared_pods
from exposure.resolve.subjects import Subject

WEB = Pod("shop", "web-1", (("app", "web"), ("tier", "a"), ("track", "new")))


@pytest.mark.parametrize(
    "one, other, pods, shared",
    [
        pytest.param({"app": "web"}, {"app": "web"}, (), True, id="equal-selectors"),
        pytest.param({"app": "web"}, {"app": "web", "tier": "a"}, (), True, id="one-inside-the-other"),
        pytest.param({"app": "web", "tier": "a"}, {"app": "web", "tier": "b"}, (), False, id="one-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, (), False, id="no-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, (WEB,), True, id="a-pod-in-common"),
        pytest.param({"app": "web"}, None, (), False, id="no-selector"),
    ],
)
def test_shared_pods(one: dict[str, str], other: dict[str, str] | None, pods: tuple[Pod, ...], shared: bool) -> None:
    """Certain from the selectors alone, or seen in a pod; both Services report it."""
    services = {
        "one": Subject(selecting(one), pods),
        "other": Subject(selecting(other) if other is not None else None, pods),
    }
    assert ({"one", "other"} if shared else set()) == set(shared_pods(services))
