"""How traffic of a load balancer arrives: from which addresses, and from where its health checks come."""

from collections.abc import Mapping
from dataclasses import dataclass

from exposure.addresses import PRIVATE, Family, Network, address, family, in_any, network
from exposure.catalog.profile import LoadBalancerProfile, Switch
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import PublishedAddress, Service, ServicePort
from exposure.resolve.facts import ClusterFacts


@dataclass(frozen=True, slots=True)
class Arrival:
    """How traffic for one Service port arrives. `preserved`: with the client's own address.

    `load_balancer`, `probes`: the addresses of the load balancer and of its health checks; None where they are needed
    and not known. `beside_clients`: addresses of the load balancer from which some clients arrive although others keep
    theirs; `beside_unknown`: clients of the other address family do, and the addresses are not known.
    """

    profile: LoadBalancerProfile
    preserved: bool
    load_balancer: tuple[Network, ...] | None
    probes: tuple[Network, ...] | None
    probe_port: int | None
    beside_clients: tuple[Network, ...] = ()
    beside_unknown: bool = False


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """What delivers to a Service through one entry point, whose own `published` addresses and `annotations` count."""

    profile: LoadBalancerProfile
    service: Service
    overrides: LoadBalancerOverrides
    facts: ClusterFacts
    families: tuple[Family, ...]
    published: tuple[PublishedAddress, ...]
    annotations: Mapping[str, str]

    def arrival(self, port: ServicePort) -> Arrival:
        profile, overrides, families = self.profile, self.overrides, self.families
        own = self._own_addresses()
        probes = self._probes(own)
        if overrides.health_check_cidrs:
            probes = (*(probes or ()), *overrides.health_check_cidrs)
        preserved = self._preserves(port)
        beside: tuple[Network, ...] = ()
        unknown = False
        if preserved and profile.dualstack_annotation:
            dualstack = self.annotations.get(profile.dualstack_annotation, "").lower() == "dualstack"
            if dualstack and families == ("IPv4",):
                beside = own or ()
                unknown = not any(family(block) == "IPv4" for block in beside)
            elif profile.translates_to_ipv6 and "IPv6" in families and len(families) > 1:
                # The targets are IPv6: IPv4 clients arrive from the load balancer's own IPv6 addresses.
                beside = tuple(block for block in own or () if family(block) == "IPv6")
                unknown = dualstack and not beside
        if preserved and profile.private_link and overrides.cidrs:
            beside = (*beside, *overrides.cidrs)
        return Arrival(profile, preserved, own, probes, self._probe_port(), beside, unknown)

    @property
    def _local(self) -> bool:
        return self.service.external_traffic_policy == "Local"

    def _own_addresses(self) -> tuple[Network, ...] | None:
        given = self.overrides.cidrs or self.facts.config.load_balancer_cidrs
        match self.profile.own_addresses:
            case "none":
                return given
            case "configured":
                return given or None
            case "published":
                return given or self._published_addresses()
            case fixed:
                return given or fixed

    def _published_addresses(self) -> tuple[Network, ...] | None:
        """The published addresses: the private ones where the load balancer uses them, else the others."""
        private = self.annotations.get(self.profile.private_annotation, "").lower() == "true"
        addresses = (network(entry.ip) for entry in self.published if address(entry.ip) is not None)
        return tuple(own for own in addresses if in_any(own, PRIVATE) == private) or None

    def _probes(self, own: tuple[Network, ...] | None) -> tuple[Network, ...] | None:
        profile = self.profile
        if profile.probes == "none":
            return ()
        if self._local and profile.probes_when != "always":
            to_traffic_port = self.annotations.get(profile.probe_port_annotation) == "traffic-port"
            if not (profile.probes_when == "cluster-or-traffic-port" and to_traffic_port):
                return ()
        if profile.probes == "load-balancer":
            return own
        return (*profile.probes, *(own or ())) if profile.probed_from_own_addresses else profile.probes

    def _probe_port(self) -> int | None:
        """The port of the pod that is probed; None: the target port."""
        key = self.profile.probe_port_annotation
        written = self.annotations.get(key, "") if key else ""
        if self.profile.delivery != "pod" or not written or written == "traffic-port":
            return None
        if written.isascii() and written.isdigit():
            return int(written) if len(written) < 6 and 0 < int(written) < 65536 else None
        named = next((port.target_port for port in self.service.ports if port.name == written), None)
        return named if isinstance(named, int) else None

    def _preserves(self, port: ServicePort) -> bool:
        profile = self.profile
        if profile.preserved_with == "Local" and not self._local:
            return False
        if port.protocol == "TCP" and self._is_joined_with_udp(port):
            # One target group for both protocols of a port number keeps the client's address for both.
            return True
        if profile.switch is not None and port.protocol in profile.switchable:
            switched = _switched(profile.switch, port, self.annotations)
            if switched is not None:
                return switched
        return port.protocol in profile.preserved

    def _is_joined_with_udp(self, port: ServicePort) -> bool:
        profile, annotations = self.profile, self.annotations
        if not profile.tcp_udp_annotation:
            return False
        both = any(other.port == port.port and other.protocol == "UDP" for other in self.service.ports)
        quic_ports = [number.strip() for number in annotations.get(profile.quic_ports_annotation, "").split(",")]
        joined = annotations.get(profile.tcp_udp_annotation, "").lower() == "true"
        return both and (joined or str(port.port) in quic_ports)


def _switched(switch: Switch, port: ServicePort, annotations: Mapping[str, str]) -> bool | None:
    """What the annotation sets for this port; None: nothing. A key that ends in the port's number comes first."""
    value = annotations.get(f"{switch.annotation}.{port.port}") or annotations.get(switch.annotation)
    if value is None:
        return None
    if switch.attribute:
        attributes = dict(part.strip().split("=", 1) for part in value.split(",") if "=" in part)
        value = attributes.get(switch.attribute, "")
    return {"true": True, "on": True, "false": False, "off": False}.get(value.strip().lower())
