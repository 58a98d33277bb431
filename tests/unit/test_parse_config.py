"""The component configuration: what is unknown or cannot be meant is refused, for nobody would notice it missing."""

from typing import Any

import pytest

from exposure.addresses import network
from exposure.catalog.cnis import CNI_NAMES, CNIS
from exposure.catalog.providers import DEFAULTS, PROVIDER_NAMES
from exposure.fields import BadField
from exposure.model.config import CanarySettings, Config
from exposure.parse.config import config


@pytest.mark.parametrize(
    "raw, expected",
    [
        pytest.param(None, Config(), id="an-empty-file"),
        pytest.param({}, Config(), id="nothing-said"),
        pytest.param({"network": None}, Config(), id="an-empty-section"),
        pytest.param({"network": {"provider": "auto", "cni": "auto"}}, Config(), id="auto-is-the-default"),
        pytest.param(
            {"network": {"provider": "aws", "cni": "calico"}}, Config(provider="aws", cni="calico"), id="slugs"
        ),
        pytest.param(
            {
                "network": {
                    "podCIDRs": ["10.244.0.0/16"],
                    "nodeCIDRs": ["192.0.2.0/24", "2001:db8::/64"],
                    "nodeAddressLimit": 8,
                    "loadBalancerCIDRs": ["10.0.0.0/20"],
                    "cloudDNS": True,
                },
                "systemNamespaces": ["kube-*", "monitoring"],
            },
            Config(
                pod_cidrs=(network("10.244.0.0/16"),),
                node_cidrs=(network("192.0.2.0/24"), network("2001:db8::/64")),
                node_address_limit=8,
                load_balancer_cidrs=(network("10.0.0.0/20"),),
                cloud_dns=True,
                system_namespaces=("kube-*", "monitoring"),
            ),
            id="everything",
        ),
        pytest.param({"canary": None}, Config(canary=CanarySettings()), id="no-canary-unless-it-is-asked-for"),
        pytest.param(
            {"canary": {"enabled": True, "image": "operator:1", "intervalSeconds": 600, "namespace": "probes"}},
            Config(canary=CanarySettings(True, "operator:1", 600, "probes")),
            id="a-canary",
        ),
        pytest.param({"systemNamespaces": []}, Config(system_namespaces=()), id="an-empty-list-is-a-list"),
    ],
)
def test_what_is_said(raw: Any, expected: Config) -> None:
    """Everything has a detected or safe default."""
    assert expected == config(raw)


@pytest.mark.parametrize(
    "raw, field",
    [
        pytest.param([], "config", id="a-list"),
        pytest.param("aws", "config", id="a-word"),
        pytest.param({"provider": "aws"}, "provider", id="at-the-wrong-level"),
        pytest.param({"network": {"podCidrs": []}}, "network.podCidrs", id="a-slip"),
        pytest.param({"network": ["aws"]}, "network", id="network-a-list"),
        pytest.param({"network": {"provider": "AWS"}}, "network.provider", id="provider-in-capitals"),
        pytest.param({"network": {"cni": "weave"}}, "network.cni", id="unknown-cni"),
        pytest.param({"network": {"cni": ["calico"]}}, "network.cni", id="a-list-of-cnis"),
        pytest.param({"network": {"podCIDRs": ["10.244.0.1/16"]}}, "network.podCIDRs[0]", id="host-bits"),
        pytest.param({"network": {"podCIDRs": "10.244.0.0/16"}}, "network.podCIDRs", id="not-a-list"),
        pytest.param({"network": {"nodeAddressLimit": 0}}, "network.nodeAddressLimit", id="no-peers-at-all"),
        pytest.param({"network": {"nodeAddressLimit": "256"}}, "network.nodeAddressLimit", id="a-number-in-quotes"),
        pytest.param({"network": {"nodeAddressLimit": True}}, "network.nodeAddressLimit", id="a-boolean"),
        pytest.param({"network": {"cloudDNS": "yes"}}, "network.cloudDNS", id="a-word-for-a-flag"),
        pytest.param({"canary": {"enabled": True}}, "canary.image", id="a-canary-without-an-image"),
        pytest.param({"canary": {"intervalSeconds": 1}}, "canary.intervalSeconds", id="a-canary-too-often"),
        pytest.param({"canary": {"every": 600}}, "canary.every", id="a-slip-in-the-canary"),
        pytest.param({"systemNamespaces": [""]}, "systemNamespaces[0]", id="an-empty-pattern"),
        pytest.param({"systemNamespaces": [7]}, "systemNamespaces[0]", id="a-number-for-a-name"),
    ],
)
def test_what_is_refused(raw: Any, field: str) -> None:
    """With the field, so that the CLI can name its line."""
    with pytest.raises(BadField) as refused:
        config(raw)
    assert field == refused.value.field


def test_every_slug_has_its_row() -> None:
    """What may be configured is what there is data for, and every CNI row but the unknown one may be configured."""
    assert {"auto", *CNIS} - {"unknown"} == set(CNI_NAMES)
    assert {"auto", *DEFAULTS} == set(PROVIDER_NAMES)
    assert all(config({"network": {"provider": name}}).provider == name for name in PROVIDER_NAMES[1:])
    assert all(config({"network": {"cni": name}}).cni == name for name in CNI_NAMES[1:])


def test_the_operator_knows_its_own_namespace() -> None:
    """It comes from the process, not from the file."""
    assert "ops" == config({}, "ops").operator_namespace
