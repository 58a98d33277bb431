"""The component configuration. Unknown and invalid settings are refused, because they would have no effect."""

from datetime import date
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
        pytest.param({}, Config(), id="nothing-written"),
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
        pytest.param({"canary": None}, Config(canary=CanarySettings()), id="no-canary-by-default"),
        pytest.param(
            {"canary": {"enabled": True, "image": "operator:1", "intervalSeconds": 600, "namespace": "probes"}},
            Config(canary=CanarySettings(True, "operator:1", 600, "probes")),
            id="a-canary",
        ),
        pytest.param({"systemNamespaces": []}, Config(system_namespaces=()), id="an-empty-list-is-a-list"),
    ],
)
def test_a_configuration_is_parsed(raw: Any, expected: Config) -> None:
    """Every setting has a detected or safe default."""
    assert expected == config(raw)


@pytest.mark.parametrize(
    "raw, expected",
    [
        pytest.param([], "config: is a list, but must be an object", id="a-list"),
        pytest.param("aws", "config: is a string, but must be an object", id="a-word"),
        pytest.param(
            {"provider": "aws"},
            "provider: is an unknown field. Known fields: network, systemNamespaces, canary",
            id="at-the-wrong-level",
        ),
        pytest.param({1: 2}, "1: is a key that is not a string. Put it in quotes", id="a-key-that-is-a-number"),
        pytest.param(
            {"network": {"podCidrs": []}},
            "network.podCidrs: is an unknown field. Known fields: provider, cni, podCIDRs, nodeCIDRs, "
            "nodeAddressLimit, loadBalancerCIDRs, cloudDNS",
            id="a-typo",
        ),
        pytest.param({"network": ["aws"]}, "network: is a list, but must be an object", id="network-a-list"),
        pytest.param(
            {"network": {"provider": "AWS"}},
            f"network.provider: 'AWS' is not supported. Supported: {', '.join(PROVIDER_NAMES)}",
            id="provider-in-capitals",
        ),
        pytest.param(
            {"network": {"cni": "weave"}},
            f"network.cni: 'weave' is not supported. Supported: {', '.join(CNI_NAMES)}",
            id="unknown-cni",
        ),
        pytest.param(
            {"network": {"cni": ["calico"]}}, "network.cni: is a list, but must be a string", id="a-list-of-cnis"
        ),
        pytest.param(
            {"network": {"podCIDRs": ["10.244.0.0/16", "10.245.0.1/16"]}},
            "network.podCIDRs[1]: has host bits set. Use the network address (10.0.0.0/8, not 10.1.2.3/8), or /32 or "
            "/128 for a single address",
            id="host-bits",
        ),
        pytest.param(
            {"network": {"loadBalancerCIDRs": ["office"]}},
            "network.loadBalancerCIDRs[0]: must be a CIDR such as 203.0.113.0/24 or 2001:db8::/48; for a single "
            "address, use /32 or /128. Write IPv4 addresses as IPv4, not inside IPv6 (::ffff:...)",
            id="no-cidr",
        ),
        pytest.param(
            {"network": {"podCIDRs": "10.244.0.0/16"}},
            "network.podCIDRs: is a string, but must be a list",
            id="not-a-list",
        ),
        pytest.param(
            {"network": {"nodeAddressLimit": 0}},
            "network.nodeAddressLimit: 0 is too small. Use 1 or more",
            id="no-peers-at-all",
        ),
        pytest.param(
            {"network": {"nodeAddressLimit": "256"}},
            "network.nodeAddressLimit: is a string, but must be a whole number",
            id="a-number-in-quotes",
        ),
        pytest.param(
            {"network": {"nodeAddressLimit": True}},
            "network.nodeAddressLimit: is a boolean (true or false), but must be a whole number",
            id="a-boolean",
        ),
        pytest.param(
            {"network": {"cloudDNS": "yes"}},
            "network.cloudDNS: is a string, but must be a boolean (true or false)",
            id="a-word-for-a-flag",
        ),
        pytest.param(
            {"network": {"podCIDRs": [date(2026, 1, 1)]}},
            "network.podCIDRs[0]: is a date, but must be a string",
            id="a-date-as-yaml-reads-it",
        ),
        pytest.param(
            {"canary": {"enabled": True}},
            "canary.image: is missing: the pods of the canary need an image. Use the operator's own",
            id="a-canary-without-an-image",
        ),
        pytest.param(
            {"canary": {"image": ""}}, "canary.image: has 0 characters. Use at least 1", id="an-image-without-a-name"
        ),
        pytest.param(
            {"canary": {"intervalSeconds": 1}},
            "canary.intervalSeconds: 1 is too small. Use 30 or more",
            id="a-canary-too-often",
        ),
        pytest.param(
            {"canary": {"every": 600}},
            "canary.every: is an unknown field. Known fields: enabled, image, intervalSeconds, namespace",
            id="a-typo-in-the-canary",
        ),
        pytest.param(
            {"systemNamespaces": [""]},
            "systemNamespaces[0]: is empty. Use the name of a namespace, or a pattern such as kube-*",
            id="an-empty-pattern",
        ),
        pytest.param(
            {"systemNamespaces": [7]},
            "systemNamespaces[0]: is a whole number, but must be a string",
            id="a-number-for-a-name",
        ),
    ],
)
def test_an_invalid_setting_is_refused(raw: Any, expected: str) -> None:
    """With the field, so that the command line can name its line, and with what is allowed."""
    with pytest.raises(BadField) as refused:
        config(raw)
    assert expected == str(refused.value)
    assert expected == f"{refused.value.field}: {refused.value.message}"


def test_the_names_in_the_configuration_are_those_of_the_rows() -> None:
    """Every row may be configured, except the CNI row for an unknown CNI."""
    assert {"auto", *CNIS} - {"unknown"} == set(CNI_NAMES)
    assert {"auto", *DEFAULTS} == set(PROVIDER_NAMES)
    assert all(config({"network": {"provider": name}}).provider == name for name in PROVIDER_NAMES[1:])
    assert all(config({"network": {"cni": name}}).cni == name for name in CNI_NAMES[1:])


def test_the_operator_knows_its_own_namespace() -> None:
    """It comes from the process, not from the file."""
    assert "ops" == config({}, "ops").operator_namespace
