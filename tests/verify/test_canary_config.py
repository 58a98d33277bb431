"""The part of the configuration file that switches the canary on."""

import pytest

from exposure.parse.config import config
from exposure.parse.fields import BadField
from exposure.values.config import Canary


@pytest.mark.parametrize(
    "said, meant",
    [
        pytest.param({}, Canary(), id="off-unless-it-is-asked-for"),
        pytest.param(
            {"enabled": True, "image": "registry.example/operator:1"},
            Canary(True, "registry.example/operator:1", 300, ""),
            id="every-five-minutes-in-the-operators-namespace",
        ),
        pytest.param(
            {"enabled": True, "image": "operator:1", "intervalSeconds": 60, "namespace": "canary"},
            Canary(True, "operator:1", 60, "canary"),
            id="as-it-is-written",
        ),
        pytest.param({"intervalSeconds": 60}, Canary(False, "", 60, ""), id="prepared-and-off"),
    ],
)
def test_what_is_meant(said: dict[str, object], meant: Canary) -> None:
    """Everything but the image has a default."""
    assert meant == config({"canary": said}).canary


@pytest.mark.parametrize(
    "said, field",
    [
        pytest.param({"enabled": True}, "canary.image", id="an-image-is-needed"),
        pytest.param({"intervalSeconds": 5}, "canary.intervalSeconds", id="not-all-the-time"),
        pytest.param({"enabled": "yes"}, "canary.enabled", id="true-or-false"),
        pytest.param({"every": 5}, "canary.every", id="no-other-field"),
    ],
)
def test_what_is_refused(said: dict[str, object], field: str) -> None:
    """A refusal names the field."""
    with pytest.raises(BadField) as refused:
        config({"canary": said})
    assert field == refused.value.field
