"""C: who may come in from outside, narrowed by the policy, its limits, and the Service's own ranges where they hold."""

from collections.abc import Iterable
from dataclasses import dataclass

from exposure.addresses import (
    Block,
    Family,
    Network,
    admits_everyone,
    everyone,
    family,
    intersection,
    network,
    union,
)
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.providers import SOURCE_RANGES, Profile
from exposure.model.exposures import BlindSpot
from exposure.model.intent import Clients
from exposure.model.objects import Service
from exposure.resolve.tenancy import Bounds

#: Annotations of other controllers that ask for source ranges; where the profile does not honour one, nobody does.
RANGE_ANNOTATIONS = (
    SOURCE_RANGES,
    "service.beta.kubernetes.io/azure-allowed-ip-ranges",
)


@dataclass(frozen=True, slots=True)
class ClientRanges:
    """C of one entry point. `narrowed_by` holds policy, limits, field or annotation, as far as each narrowed it."""

    blocks: tuple[Block, ...]
    families: tuple[Family, ...]
    narrowed_by: frozenset[str]
    spots: tuple[BlindSpot, ...] = ()

    @property
    def narrow(self) -> bool:
        return not admits_everyone(self.blocks, self.families)


def families_of(service: Service, pod_families: tuple[Family, ...]) -> tuple[Family, ...]:
    """The Service's families: ipFamilies, else its clusterIPs, else the pods', else IPv4."""
    written = tuple(sorted({each for each in service.ip_families if each in ("IPv4", "IPv6")}))
    from_ips = sorted({family(network(ip)) for ip in service.cluster_ips if ip and ip != "None"})
    return written or tuple(from_ips) or pod_families or ("IPv4",)  # type: ignore[return-value]


def client_ranges(
    service: Service, entry_point: str, profile: Profile, clients: Clients, limit: Bounds, families: tuple[Family, ...]
) -> ClientRanges:
    """C = clients ∩ limits ∩ the Service's ranges (LoadBalancer entry points only), each where it is said; else everyone."""
    found: tuple[Block, ...] | None = None
    narrowed: set[str] = set()
    spots: list[BlindSpot] = []

    def narrow(by: str, ranges: tuple[Block, ...]) -> tuple[Block, ...]:
        before = everyone(families) if found is None else found
        after = ranges if found is None else intersection(found, ranges)
        if union(intersection(before, ranges)) != union(before):
            narrowed.add(by)
        return after

    # The Service's own ranges come first: what a policy repeats is held where they are held.
    if entry_point == "LoadBalancer":
        ranges, origin, spots = service_ranges(service, profile)
        if origin:
            found = narrow(origin, tuple(map(Block, ranges)))
            if len(families) > 1 and len({family(each) for each in ranges}) == 1:
                spots.append(blind_spot("FamilyRangesMissing", f"Listed: {', '.join(map(str, ranges))}."))
    if clients.blocks is not None:
        found = narrow("policy", clients.blocks)
    if limit.clients is not None:
        found = narrow("limits", limit.clients)
    found = everyone(families) if found is None else found
    known = bool(service.ip_families or service.cluster_ips)
    kept = tuple(each for each in found if not known or family(each.cidr) in families)
    return ClientRanges(kept, families, frozenset(narrowed), tuple(spots))


def service_ranges(service: Service, profile: Profile) -> tuple[tuple[Network, ...], str, list[BlindSpot]]:
    """The ranges the Service itself asks for, where they came from (`field`, `annotation`, ""), and blind spots."""
    spots: list[BlindSpot] = []
    field = _networks(service.source_ranges)
    annotated: list[Network] = []
    asked = False
    for key in profile.range_annotations:
        value = service.annotation(key)
        if value:
            asked = True
            annotated += _networks(value.split(","))
    spots += [
        blind_spot("AnnotationNotEnforced", f"{key} is not read by {profile.slug} controllers.")
        for key in RANGE_ANNOTATIONS
        if service.annotation(key) and key not in profile.range_annotations
    ]
    if profile.range_conflict and service.source_ranges and asked:
        spots.append(blind_spot("ConflictingSourceRanges"))
    if any(service.annotation(key) for key in profile.tag_annotations):
        # With ranges beside them the policy holds the ranges alone; without, it holds nothing and the provider does.
        effect = "Cuts" if field or annotated else "Opens"
        spots.append(blind_spot("ServiceTagsNotExpressible", effect=effect))
    if service.source_ranges:
        return field, "field", spots
    if annotated:
        return tuple(annotated), "annotation", spots
    if asked:
        spots.append(blind_spot("AnnotationNotEnforced", "None of its entries is a CIDR."))
    return (), "", spots


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    found: list[Network] = []
    for text in texts:
        try:
            # DigitalOcean's rules say what they are: cidr:10.0.0.0/8, ip:192.0.2.1.
            found.append(network(text.strip().removeprefix("cidr:").removeprefix("ip:")))
        except ValueError:
            # Never wider than what is understood: an entry that nobody can read admits nobody.
            continue
    return tuple(dict.fromkeys(found))
