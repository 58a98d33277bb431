"""The component configuration: the facts about a cluster that cannot be detected."""

from exposure.addresses import Network, network
from exposure.fields import BadField, Raw, boolean, integer, mapping, optional_text, text, texts
from exposure.model.config import CanarySettings, Config
from exposure.validation import configuration_problems

DEFAULTS = Config()


def config(raw: object, operator_namespace: str = DEFAULTS.operator_namespace) -> Config:
    """The configuration of a YAML document. BadField names the first field that is unknown or invalid."""
    written = {} if raw is None else raw
    for field, message in configuration_problems(written):
        raise BadField(field or "config", message)
    assert isinstance(written, dict)
    facts, canary = mapping(written, "network"), mapping(written, "canary")
    has_system_namespaces = written.get("systemNamespaces") is not None
    return Config(
        provider=_unless_auto(facts, "provider"),
        cni=_unless_auto(facts, "cni"),
        pod_cidrs=_cidrs(facts, "podCIDRs"),
        node_cidrs=_cidrs(facts, "nodeCIDRs"),
        node_address_limit=integer(facts, "nodeAddressLimit", DEFAULTS.node_address_limit),
        load_balancer_cidrs=_cidrs(facts, "loadBalancerCIDRs"),
        cloud_dns=boolean(facts, "cloudDNS", None),
        system_namespaces=texts(written, "systemNamespaces") if has_system_namespaces else DEFAULTS.system_namespaces,
        operator_namespace=operator_namespace,
        canary=CanarySettings(
            enabled=boolean(canary, "enabled", DEFAULTS.canary.enabled),
            image=text(canary, "image"),
            interval_seconds=integer(canary, "intervalSeconds", DEFAULTS.canary.interval_seconds),
            namespace=text(canary, "namespace"),
        ),
    )


def _cidrs(raw: Raw, key: str) -> tuple[Network, ...]:
    return tuple(map(network, texts(raw, key)))


def _unless_auto(raw: Raw, key: str) -> str | None:
    name = optional_text(raw, key)
    return None if name == "auto" else name
