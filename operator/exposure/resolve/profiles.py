"""Which load balancer stands before a Service, and how its traffic arrives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exposure.addresses import Family, Network, address, family, network
from exposure.catalog.choices import (
    BY_ANNOTATION,
    BY_CLASS,
    BY_PROVIDER,
    CLASSES_WITHOUT_RANGE_ANNOTATION,
    DIGITALOCEAN_NETWORK_SINCE,
    DIGITALOCEAN_TYPE,
    GKE_NEG_ANNOTATION,
    Choice,
)
from exposure.catalog.providers import (
    ALB_TARGET_TYPE,
    ALIBABA_TCPSSL,
    AWS_QUIC,
    AWS_TARGET_TYPE,
    AWS_TCP_UDP,
    PROFILES,
    Profile,
)
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import PublishedAddress, Service, ServicePort
from exposure.resolve.facts import ClusterFacts

PRIVATE_V4 = tuple(map(network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


def profile_of(service: Service, overrides: LoadBalancerOverrides, facts: ClusterFacts) -> Profile:
    """The profile of a Service: the policy's, else by class, annotations, the nodes' provider, the configured one."""
    annotations = dict(service.annotations)
    if overrides.profile is not None:
        name = overrides.profile
    elif service.load_balancer_class is not None:
        name = _first(BY_CLASS, annotations, service.load_balancer_class) or "unknown"
        if service.load_balancer_class == "eks.amazonaws.com/nlb" and AWS_TARGET_TYPE not in annotations:
            # EKS Auto Mode targets pods unless told otherwise:
            # https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html
            name = "aws-nlb-ip"
    else:
        name = _first(BY_ANNOTATION, annotations, None) or BY_PROVIDER[facts.provider or "on-premises"]
    # A name of a later version may stand in what was last accepted: an unknown load balancer opens the least.
    profile = PROFILES.get(_variant(name, annotations, facts), PROFILES["unknown"])
    if service.load_balancer_class in CLASSES_WITHOUT_RANGE_ANNOTATION:
        return replace(profile, range_annotations=())
    return profile


def _variant(name: str, annotations: Mapping[str, str], facts: ClusterFacts) -> str:
    if name == "digitalocean":
        default = "REGIONAL_NETWORK" if facts.kubelet_minor >= DIGITALOCEAN_NETWORK_SINCE else "REGIONAL"
        return "digitalocean-network" if annotations.get(DIGITALOCEAN_TYPE, default) == "REGIONAL_NETWORK" else name
    if name == "alibaba-nlb":
        ip_group = annotations.get("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-server-group-type") == "Ip"
        tcpssl = "tcpssl" in annotations.get(ALIBABA_TCPSSL, "").lower()
        return "alibaba-nlb-proxied" if ip_group or tcpssl else name
    if name == "aws-alb":
        return "aws-alb-ip" if annotations.get(ALB_TARGET_TYPE) == "ip" else name
    return name


def _first(choices: tuple[Choice, ...], annotations: Mapping[str, str], load_balancer_class: str | None) -> str | None:
    for choice in choices:
        if load_balancer_class is not None and load_balancer_class not in choice.classes:
            continue
        if all(_has(annotations, key, values) for key, values in choice.annotations.items()):
            return choice.profile
    return None


def _has(annotations: Mapping[str, str], key: str, values: tuple[str, ...]) -> bool:
    if key.endswith("*"):
        return any(each.startswith(key[:-1]) for each in annotations)
    if key not in annotations:
        return False
    written = [part.strip().lower() for part in annotations[key].split(",")]
    return not values or any(part in values for part in written)


def l7_profile(name: str, entry_point: str, front: Mapping[str, str], service: Service) -> Profile:
    """The profile of a cloud L7 front end for one backend Service: targets are pods or node ports by annotation.

    `entry point` is Ingress or Gateway, `front` the entry point's annotations; the Service's own win.
    """
    annotations = {**dict(front), **dict(service.annotations)}
    if name.startswith("aws-alb"):
        default = "ip" if name == "aws-alb-ip" else "instance"
        return PROFILES["aws-alb-ip" if annotations.get(ALB_TARGET_TYPE, default) == "ip" else "aws-alb"]
    if name == "gke-neg" and entry_point == "Ingress" and GKE_NEG_ANNOTATION not in annotations:
        return PROFILES["gke-instance-group"]
    return PROFILES[name]


@dataclass(frozen=True, slots=True)
class Arrival:
    """How traffic for one Service port arrives: L and H are None where they are needed and not known.

    `beside_clients`: L as far as some clients arrive from there although others keep their address; `beside_unknown`:
    clients of the other address family do, and L is not known.
    """

    profile: Profile
    preserved: bool
    load_balancer: tuple[Network, ...] | None
    probes: tuple[Network, ...] | None
    probe_port: int | None
    beside_clients: tuple[Network, ...] = ()
    beside_unknown: bool = False


def arrival(
    profile: Profile,
    service: Service,
    port: ServicePort,
    overrides: LoadBalancerOverrides,
    facts: ClusterFacts,
    families: tuple[Family, ...],
    published: tuple[PublishedAddress, ...] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Arrival:
    """`published` and `annotations` are the entry point's own, where the entry point is not the Service itself."""
    notes = dict(service.annotations) if annotations is None else annotations
    given = overrides.cidrs or facts.config.load_balancer_cidrs
    own = _own_addresses(profile, given, service.published if published is None else published, notes)
    local = service.external_traffic_policy == "Local"
    probes = _probes(profile, own, local, notes)
    if overrides.health_check_cidrs:
        probes = (*(probes or ()), *overrides.health_check_cidrs)
    preserved = _preserved(profile, service, port, local, notes)
    beside: tuple[Network, ...] = ()
    unknown = False
    if preserved and profile.front_families_annotation:
        dualstack = notes.get(profile.front_families_annotation, "").lower() == "dualstack"
        if dualstack and families == ("IPv4",):
            beside = own or ()
            unknown = not any(family(each) == "IPv4" for each in beside)
        elif profile.slug.startswith("aws-nlb") and "IPv6" in families and len(families) > 1:
            # An IPv6 target group: the NLB translates IPv4 clients to its own IPv6 addresses.
            beside = tuple(each for each in own or () if family(each) == "IPv6")
            unknown = dualstack and not beside
    if preserved and profile.shared_front and overrides.cidrs:
        beside = (*beside, *overrides.cidrs)
    return Arrival(profile, preserved, own, probes, _probe_port(profile, service, notes), beside, unknown)


def _own_addresses(
    profile: Profile, given: tuple[Network, ...], published: tuple[PublishedAddress, ...], notes: Mapping[str, str]
) -> tuple[Network, ...] | None:
    match profile.load_balancer:
        case "none":
            return given
        case "configured":
            return given or None
        case "published":
            return given or _published(profile, published, notes)
        case fixed:
            return given or fixed


def _published(
    profile: Profile, published: tuple[PublishedAddress, ...], notes: Mapping[str, str]
) -> tuple[Network, ...] | None:
    """The addresses in the entry point's status: the private ones where the load balancer uses those, else the public ones."""
    private = notes.get(profile.private_switch, "").lower() == "true"
    ips = [network(each.ip) for each in published if address(each.ip) is not None]
    chosen = tuple(each for each in ips if _is_private(each) == private)
    return chosen or None


def _is_private(of: Network) -> bool:
    return any(of.version == 4 and of.subnet_of(each) for each in PRIVATE_V4) or (of.version == 6 and of.is_private)  # type: ignore[arg-type]


def _probes(
    profile: Profile, own: tuple[Network, ...] | None, local: bool, notes: Mapping[str, str]
) -> tuple[Network, ...] | None:
    if profile.probes == "none":
        return ()
    if local and profile.probes_when != "always":
        to_traffic_port = notes.get(profile.probe_port_annotation) == "traffic-port"
        if not (profile.probes_when == "cluster-or-traffic-port" and to_traffic_port):
            return ()
    if profile.probes == "load-balancer":
        return own
    return (*profile.probes, *(own or ())) if profile.probed_by_balancer else profile.probes


def _probe_port(profile: Profile, service: Service, notes: Mapping[str, str]) -> int | None:
    """The pod port that is probed instead of the target port; None: the target port itself."""
    written = notes.get(profile.probe_port_annotation, "") if profile.probe_port_annotation else ""
    if profile.delivery != "pod" or not written or written == "traffic-port":
        return None
    if written.isascii() and written.isdigit():
        return int(written) if len(written) < 6 and 0 < int(written) < 65536 else None
    named = next((port.target_port for port in service.ports if port.name == written), None)
    return named if isinstance(named, int) else None


def _preserved(profile: Profile, service: Service, port: ServicePort, local: bool, notes: Mapping[str, str]) -> bool:
    if profile.preserved_with == "Local" and not local:
        return False
    protocols = {port.protocol}
    if profile.shared_front and port.protocol == "TCP" and _joined_with_udp(service, port, notes):
        # One target group for both protocols of a port number keeps the client's address for both.
        return True
    kept = protocols <= set(profile.preserved)
    if profile.switch is not None and port.protocol in profile.switchable:
        switched = _switched(notes, profile.switch.annotation, profile.switch.attribute, port)
        return kept if switched is None else switched
    return kept


def _joined_with_udp(service: Service, port: ServicePort, notes: Mapping[str, str]) -> bool:
    both = any(other.port == port.port and other.protocol == "UDP" for other in service.ports)
    quic = str(port.port) in [each.strip() for each in notes.get(AWS_QUIC, "").split(",")]
    return both and (notes.get(AWS_TCP_UDP, "").lower() == "true" or quic)


def _switched(notes: Mapping[str, str], key: str, attribute: str, port: ServicePort) -> bool | None:
    """What the annotation says about this port: a key with the port's number behind it wins."""
    value = notes.get(f"{key}.{port.port}") or notes.get(key)
    if value is None:
        return None
    if attribute:
        attributes = dict(part.strip().split("=", 1) for part in value.split(",") if "=" in part)
        value = attributes.get(attribute, "")
    return {"true": True, "on": True, "false": False, "off": False}.get(value.strip().lower())
