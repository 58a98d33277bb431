"""Clients: who may connect from outside, by the policy, its limits, and the Service's own ranges."""

from collections.abc import Iterable
from dataclasses import dataclass

from exposure.addresses import Block, Family, Network, admits_everyone, everyone, family, intersection, network, union
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.profile import LoadBalancerProfile
from exposure.catalog.providers import RANGE_ANNOTATIONS
from exposure.model.exposures import BlindSpot
from exposure.model.intent import Clients, Limits
from exposure.model.objects import Service


@dataclass(frozen=True, slots=True)
class ClientRanges:
    """The clients of one entry point. `narrowed_by`: which of policy, limits, field and annotation narrowed them."""

    blocks: tuple[Block, ...]
    families: tuple[Family, ...]
    narrowed_by: frozenset[str]
    blind_spots: tuple[BlindSpot, ...] = ()

    @property
    def narrow(self) -> bool:
        return not admits_everyone(self.blocks, self.families)


def families_of(service: Service, pod_families: tuple[Family, ...]) -> tuple[Family, ...]:
    """The Service's families: ipFamilies, else its clusterIPs, else the pods', else IPv4."""
    written = tuple(sorted({name for name in service.ip_families if name in ("IPv4", "IPv6")}))
    from_addresses = sorted({family(network(ip)) for ip in service.cluster_ips if ip and ip != "None"})
    return written or tuple(from_addresses) or pod_families or ("IPv4",)  # type: ignore[return-value]


def client_ranges(
    service: Service,
    entry_point: str,
    profile: LoadBalancerProfile,
    clients: Clients,
    limits: Limits,
    families: tuple[Family, ...],
) -> ClientRanges:
    """clients ∩ limits ∩ the Service's own ranges (LoadBalancer only). What is omitted does not narrow."""
    own = own_ranges(service, profile) if entry_point == "LoadBalancer" else OwnRanges((), "", ())
    blind_spots = list(own.blind_spots)
    if len(families) > 1 and len({family(network) for network in own.networks}) == 1:
        blind_spots.append(blind_spot("FamilyRangesMissing", f"Listed: {', '.join(map(str, own.networks))}."))
    own_blocks = tuple(map(Block, own.networks)) if own.origin else None
    written: tuple[Block, ...] | None = None
    narrowed: set[str] = set()
    # The Service's own ranges come first: a range that a policy repeats counts as the Service's, which is enforced.
    for by, ranges in ((own.origin, own_blocks), ("policy", clients.blocks), ("limits", limits.clients)):
        if ranges is not None:
            before = everyone(families) if written is None else written
            if union(intersection(before, ranges)) != union(before):
                narrowed.add(by)
            written = ranges if written is None else intersection(written, ranges)
    blocks = everyone(families) if written is None else written
    families_known = bool(service.ip_families or service.cluster_ips)
    kept = tuple(block for block in blocks if not families_known or family(block.cidr) in families)
    return ClientRanges(kept, families, frozenset(narrowed), tuple(blind_spots))


@dataclass(frozen=True, slots=True)
class OwnRanges:
    """The source ranges that the Service sets. `origin`: field, annotation, or "" if it sets none."""

    networks: tuple[Network, ...]
    origin: str
    blind_spots: tuple[BlindSpot, ...]


def own_ranges(service: Service, profile: LoadBalancerProfile) -> OwnRanges:
    field = _networks(service.source_ranges)
    annotated: list[Network] = []
    has_annotation = False
    for key in profile.range_annotations:
        value = service.annotation(key)
        if value:
            has_annotation = True
            annotated += _networks(value.split(","))
    blind_spots = [
        blind_spot("AnnotationNotEnforced", f"{key} is not read by {profile.slug} controllers.")
        for key in RANGE_ANNOTATIONS
        if service.annotation(key) and key not in profile.range_annotations
    ]
    if profile.range_conflict and service.source_ranges and has_annotation:
        blind_spots.append(blind_spot("ConflictingSourceRanges"))
    if any(service.annotation(key) for key in profile.tag_annotations):
        # With ranges beside the tags, the policy admits the ranges alone. Without, the provider alone filters.
        effect = "Cuts" if field or annotated else "Opens"
        blind_spots.append(blind_spot("ServiceTagsNotExpressible", effect=effect))
    if service.source_ranges:
        return OwnRanges(field, "field", tuple(blind_spots))
    if annotated:
        return OwnRanges(tuple(annotated), "annotation", tuple(blind_spots))
    if has_annotation:
        blind_spots.append(blind_spot("AnnotationNotEnforced", "The annotation contains no CIDR."))
    return OwnRanges((), "", tuple(blind_spots))


def _networks(entries: Iterable[str]) -> tuple[Network, ...]:
    networks: list[Network] = []
    for entry in entries:
        try:
            # DigitalOcean's rules name their kind: cidr:10.0.0.0/8, ip:192.0.2.1.
            networks.append(network(entry.strip().removeprefix("cidr:").removeprefix("ip:")))
        except ValueError:
            # An entry that cannot be read admits no address: never wider than what is understood.
            continue
    return tuple(dict.fromkeys(networks))
