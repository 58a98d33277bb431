"""The part of the configuration file that switches the canary on."""

import pytest
import yaml

from exposure.fields import BadField
from exposure.model.config import CanarySettings
from exposure.parse.config import config
from tests.manifests.reading import kustomized, only


@pytest.mark.parametrize(
    "written, expected",
    [
        pytest.param({}, CanarySettings(), id="off-by-default"),
        pytest.param(
            {"enabled": True, "image": "registry.example/operator:1"},
            CanarySettings(True, "registry.example/operator:1", 300, ""),
            id="every-five-minutes-in-the-operators-namespace",
        ),
        pytest.param(
            {"enabled": True, "image": "operator:1", "intervalSeconds": 60, "namespace": "canary"},
            CanarySettings(True, "operator:1", 60, "canary"),
            id="as-it-is-written",
        ),
        pytest.param({"intervalSeconds": 60}, CanarySettings(False, "", 60, ""), id="prepared-and-off"),
    ],
)
def test_the_settings_of_the_canary(written: dict[str, object], expected: CanarySettings) -> None:
    """Everything but the image has a default."""
    assert expected == config({"canary": written}).canary


@pytest.mark.parametrize(
    "written, field",
    [
        pytest.param({"enabled": True}, "canary.image", id="an-image-is-needed"),
        pytest.param({"intervalSeconds": 5}, "canary.intervalSeconds", id="not-all-the-time"),
        pytest.param({"enabled": "yes"}, "canary.enabled", id="true-or-false"),
        pytest.param({"every": 5}, "canary.every", id="no-other-field"),
    ],
)
def test_an_invalid_setting_is_refused(written: dict[str, object], field: str) -> None:
    """A refusal names the field."""
    with pytest.raises(BadField) as refused:
        config({"canary": written})
    assert field == refused.value.field


def test_the_overlay_switches_it_on_and_adds_a_role_in_its_own_namespace() -> None:
    """What is installed is what the operator reads; the cluster-wide role stays as it is."""
    written = only(kustomized("overlays/canary"), "ConfigMap")["data"]["config.yaml"]
    assert config(yaml.safe_load(written)).canary.enabled
    role = only(kustomized("overlays/canary"), "Role", "exposure-canary")
    assert "exposure-system" == role["metadata"]["namespace"]
    assert [("pods", {"create", "get", "delete"})] == [
        (rule["resources"][0], set(rule["verbs"])) for rule in role["rules"]
    ]
    both = [kustomized(overlay) for overlay in ("base", "overlays/canary")]
    assert 1 == len({str([role for role in objects if role["kind"] == "ClusterRole"]) for objects in both})
