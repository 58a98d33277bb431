"""Exposed Services that may select the same pods."""

import pytest

from tests.unit.snapshots import node, pod, policy, reasons, resolved, service

BOTH = {"app": "web", "tier": "a", "track": "new"}


@pytest.mark.parametrize(
    "one, other, pods, shared",
    [
        pytest.param({"app": "web"}, {"app": "web"}, {}, True, id="equal-selectors"),
        pytest.param({"app": "web"}, {"app": "web", "tier": "a"}, {}, True, id="one-inside-the-other"),
        pytest.param({"app": "web", "tier": "a"}, {"app": "web", "tier": "b"}, {}, False, id="one-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, {}, False, id="no-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, BOTH, True, id="a-pod-in-common"),
        pytest.param({"app": "web"}, None, {}, False, id="no-selector"),
    ],
)
def test_shared_pods(one: dict[str, str], other: dict[str, str] | None, pods: dict[str, str], shared: bool) -> None:
    """Certain from the selectors alone, or seen in a pod; both Services report it."""
    services = service("one", selector=one), service("other", selector=other)
    found = resolved(policy(), node(), *services, *([pod("web-1", labels=pods)] if pods else []))
    assert [shared, shared] == ["SharedPods" in reasons(found, f"service-{name}") for name in ("one", "other")]
