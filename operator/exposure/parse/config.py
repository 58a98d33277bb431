"""The component configuration file: what cannot be detected, said once."""

from typing import Any

from exposure.catalog.cnis import CNI_NAMES
from exposure.catalog.providers import PROVIDER_NAMES
from exposure.fields import BadField
from exposure.model.config import CanarySettings, Config
from exposure.parse.intent_fields import Fields, cidr, fields_of

# fmt: off
NETWORK_FIELDS = (
    "provider", "cni", "podCIDRs", "nodeCIDRs", "nodeAddressLimit", "loadBalancerCIDRs", "cloudDNS",
)
# fmt: on
DEFAULTS = Config()
#: A round of the canary makes four pods, one after the other.
SHORTEST_INTERVAL = 30


def config(raw: object, operator_namespace: str = DEFAULTS.operator_namespace) -> Config:
    """The configuration that a YAML document says; BadField where a field is unknown or cannot be meant."""
    whole = fields_of({} if raw is None else raw, "config")
    # The file has no name of its own in a field's path.
    whole = Fields(whole.raw, "").only("network", "systemNamespaces", "canary")
    network = whole.fields("network").only(*NETWORK_FIELDS)
    limit = network.integer("nodeAddressLimit")
    if limit is not None and limit < 1:
        raise BadField(network.at("nodeAddressLimit"), f"{limit} is no number of peers; write 1 or more")
    system = whole.each("systemNamespaces", _pattern) if whole.says("systemNamespaces") else DEFAULTS.system_namespaces
    return Config(
        provider=_slug(network, "provider", PROVIDER_NAMES),
        cni=_slug(network, "cni", CNI_NAMES),
        pod_cidrs=network.each("podCIDRs", cidr),
        node_cidrs=network.each("nodeCIDRs", cidr),
        node_address_limit=DEFAULTS.node_address_limit if limit is None else limit,
        load_balancer_cidrs=network.each("loadBalancerCIDRs", cidr),
        cloud_dns=network.flag("cloudDNS"),
        system_namespaces=system,
        operator_namespace=operator_namespace,
        canary=_canary(whole.fields("canary").only("enabled", "image", "intervalSeconds", "namespace")),
    )


def _canary(said: Fields) -> CanarySettings:
    found = CanarySettings()
    enabled, image, interval = said.flag("enabled") or False, said.text("image") or "", said.integer("intervalSeconds")
    if enabled and not image:
        raise BadField(said.at("image"), "the canary's pods need an image; write the operator's own")
    if interval is not None and interval < SHORTEST_INTERVAL:
        raise BadField(said.at("intervalSeconds"), f"{interval} is too often; write {SHORTEST_INTERVAL} or more")
    return CanarySettings(
        enabled,
        image,
        found.interval_seconds if interval is None else interval,
        said.text("namespace") or "",
    )


def _slug(network: Fields, key: str, allowed: tuple[str, ...]) -> str | None:
    found = network.choice(key, allowed)
    return None if found == "auto" else found


def _pattern(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadField(at, f"{value!r} is not a namespace's name or pattern; write one such as kube-*")
    return value
