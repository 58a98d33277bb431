"""The fields of a row about a load balancer: how it is chosen, how it delivers, and its variants.

A field that names annotations ends in `annotation` or `annotations`. Parsing keeps the annotations that rows name, and
no others (`annotations`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from exposure.addresses import Network
from exposure.model.exposures import Destination

#: Where the load balancer's own addresses come from: `configured` (policy or configuration), `published` (the
#: addresses in the entry point's status), `none` (no traffic arrives from them), or fixed networks.
OwnAddresses: TypeAlias = Literal["configured", "published", "none"] | tuple[Network, ...]
#: Where health checks that reach a pod's port come from: the `load-balancer`, `none`, or fixed networks.
Probes: TypeAlias = Literal["load-balancer", "none"] | tuple[Network, ...]
#: When health checks reach the pod's port: always, or with externalTrafficPolicy Cluster, or also if they use that port.
ProbesWhen: TypeAlias = Literal["always", "cluster", "cluster-or-traffic-port"]

ALL = ("TCP", "UDP", "SCTP")
PROXIED: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """Holds if everything that it names holds. Fields that are left out do not matter.

    `classes`: the loadBalancerClass of the Service, or the controller of the Ingress's or Gateway's class, is one of
    them. `annotations`: each is set to one of its values; no values mean any value. A value is compared in lower case
    with each part of a comma-separated list. A key or a value that ends in `*` is a prefix.
    `absent_annotations`: none of them is set. `kind`: Service, Ingress or Gateway. `since`: the first Kubernetes version
    for which it holds, such as (1, 33).
    """

    classes: tuple[str, ...] = ()
    annotations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    absent_annotations: tuple[str, ...] = ()
    kind: str = ""
    since: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """What differs from the row if one of the conditions of `when` holds.

    `changes`: fields of the row with other values. `becomes`: the slug of the row that applies instead.
    """

    name: str
    when: tuple[Condition, ...]
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    becomes: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """An annotation that keeps or replaces client addresses: by its value, or by `attribute=value` in a list.

    The key followed by `.PORT` does so for one Service port.
    """

    annotation: str
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class ProxyPods:
    """Pods that forward to the Service and masquerade. Two labels name the Service that they serve."""

    title: str
    namespace: str
    service_name_label: str
    service_namespace_label: str


@dataclass(frozen=True, slots=True, eq=False)
class LoadBalancerProfile:
    """How one kind of load balancer is chosen, and how it delivers.

    How it is chosen:
    `chosen_by`: conditions on a Service. Those with `classes` are asked where the Service has a loadBalancerClass, the
    others where it has none. The first row with a condition that holds is chosen.
    `provider`: what network.provider calls the cloud or platform. `default`: the row of that provider for a Service
    that says nothing; `without_cloud`: the row for one in a cluster without any cloud.
    `provider_ids`: how spec.providerID of the provider's nodes begins; `provider_id_pattern`: a regular expression.
    `ingress_classes`, `ingress_controllers`: IngressClasses and GatewayClasses whose load balancer has no pods in the
    cluster; `default_ingress`: it also serves the provider's Ingresses without a class.

    How it delivers:
    `preserved`: the protocols whose client address is kept. `preserved_with`: the externalTrafficPolicy without which
    none is kept. `switch`: an annotation that decides for the `switchable` protocols.
    `own_addresses`, `probes`, `probes_when`: see above. `probed_from_own_addresses`: these probe beside fixed networks.
    `probe_port_annotation`: the port that is probed instead of the target port.
    `private_annotation`: `true` makes it send from its private published addresses.
    `dualstack_annotation`: `dualstack` gives it addresses of both families: clients of the family that the Service
    lacks arrive from its own. `translates_to_ipv6`: on a dual-stack Service so do IPv4 clients, from IPv6 addresses.
    `private_link`: clients of a private link arrive from its own addresses.
    `tcp_udp_annotation` (true) and `quic_ports_annotation` (a list of ports) join TCP and UDP of one port number, whose
    client address is then kept for both.

    What it filters:
    `range_annotations`: from which its controller takes source ranges where the field is unset. `enforces_ranges`: it
    holds them itself. `range_conflict`: it refuses field and annotation at once. `tag_annotations`: service tags.

    `proxy_pods`: pods through which it forwards. `cloud_dns`: its cloud answers DNS where there is no DNS Service.
    """

    slug: str
    delivery: Destination
    preserved: tuple[str, ...]
    source: str
    chosen_by: tuple[Condition, ...] = ()
    provider: str = ""
    default: bool = False
    without_cloud: bool = False
    provider_ids: tuple[str, ...] = ()
    provider_id_pattern: str = ""
    ingress_classes: tuple[str, ...] = ()
    ingress_controllers: tuple[str, ...] = ()
    default_ingress: bool = False
    variants: tuple[Variant, ...] = ()
    preserved_with: str | None = None
    switch: Switch | None = None
    switchable: tuple[str, ...] = ()
    own_addresses: OwnAddresses = "none"
    probes: Probes = "none"
    probes_when: ProbesWhen = "always"
    probed_from_own_addresses: bool = False
    probe_port_annotation: str = ""
    private_annotation: str = ""
    dualstack_annotation: str = ""
    translates_to_ipv6: bool = False
    private_link: bool = False
    tcp_udp_annotation: str = ""
    quic_ports_annotation: str = ""
    range_annotations: tuple[str, ...] = ()
    enforces_ranges: bool = False
    range_conflict: bool = False
    tag_annotations: tuple[str, ...] = ()
    proxy_pods: ProxyPods | None = None
    cloud_dns: bool = False
