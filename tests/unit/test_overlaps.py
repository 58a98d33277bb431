"""Exposed Services that may select the same pods."""

import pytest

from tests.unit.snapshots import node, pod, policy, reasons, resolved, service

BOTH = {"app": "web", "tier": "a", "track": "new"}


@pytest.mark.parametrize(
    "selector, other, pods, shared",
    [
        pytest.param({"app": "web"}, {"app": "web"}, {}, True, id="equal-selectors"),
        pytest.param({"app": "web"}, {"app": "web", "tier": "a"}, {}, True, id="one-inside-the-other"),
        pytest.param({"app": "web", "tier": "a"}, {"app": "web", "tier": "b"}, {}, False, id="one-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, {}, False, id="no-label-in-common"),
        pytest.param({"tier": "a"}, {"track": "new"}, BOTH, True, id="a-pod-in-common"),
        pytest.param({"app": "web"}, None, {}, False, id="no-selector"),
    ],
)
def test_shared_pods_are_reported_by_both_services(
    selector: dict[str, str], other: dict[str, str] | None, pods: dict[str, str], shared: bool
) -> None:
    """They follow from the selectors alone, or from a pod that both select."""
    services = service("one", selector=selector), service("other", selector=other)
    resolution = resolved(policy(), node(), *services, *([pod("web-1", labels=pods)] if pods else []))
    assert [shared, shared] == ["SharedPods" in reasons(resolution, f"service-{name}") for name in ("one", "other")]
