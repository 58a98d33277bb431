"""Facts about the cluster that cannot be detected: the component configuration, with its safe defaults."""

from dataclasses import dataclass

from exposure.addresses import Network


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """Settings of the canary (controller/canary.py). `namespace` empty: the operator's own."""

    enabled: bool = False
    image: str = ""
    interval_seconds: int = 300
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """`provider` and `cni` None: detect them. The CIDR lists override what is detected."""

    provider: str | None = None
    cni: str | None = None
    pod_cidrs: tuple[Network, ...] = ()
    node_cidrs: tuple[Network, ...] = ()
    node_address_limit: int = 256
    load_balancer_cidrs: tuple[Network, ...] = ()
    cloud_dns: bool | None = None
    system_namespaces: tuple[str, ...] = ("kube-*",)
    operator_namespace: str = "exposure-system"
    canary: CanarySettings = CanarySettings()
