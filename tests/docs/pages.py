"""What is made from the catalog: the reference pages, the CRDs' enum of profiles, the names in the configuration."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exposure.catalog.blind_spots import REASONS
from exposure.catalog.cnis import CNI_NAMES, CNIS, CNIProfile
from exposure.catalog.decision_table import ROWS, decide
from exposure.catalog.profile import Condition, LoadBalancerProfile, Variant
from exposure.catalog.providers import (
    DEFAULTS,
    LOAD_BALANCERS,
    NO_CLOUD_IDS,
    PROVIDER_NAMES,
    WITHOUT_CLOUD,
)
from exposure.model.exposures import DecisionRow, Position, SourceKind
from tests.crds import reference
from tests.docs.metrics_page import metrics_page
from tests.docs.rules_page import rules_page

REPOSITORY = Path(__file__).resolve().parents[2]
ROOT = REPOSITORY / "docs" / "reference"
CRDS = REPOSITORY / "crds"
CONFIGURATION = REPOSITORY / "manifests" / "base" / "config.yaml"
PROFILE_ENUM = re.compile(r"(?P<indent> +)enum: \[auto,[^\]]*\]")
MADE = "<!-- Made by `python -m tests.docs` from the data in operator/exposure/catalog; edit that instead. -->"
#: The letters of the published table stand on its page and nowhere else.
LETTERS = {
    SourceKind.CLIENTS: ("C", "client ranges"),
    SourceKind.LOAD_BALANCER: ("L", "the load balancer's own addresses"),
    SourceKind.HEALTH_CHECKS: ("H", "health checks that reach a pod's port"),
    SourceKind.NODES: ("N", "addresses that nodes use when they SNAT"),
    SourceKind.OUTSIDE: ("E", "everyone outside: a whole address family"),
}
POSITIONS: tuple[Position, ...] = ("pre", "post", "preserving", "identity-snat", "identity-dsr", "unknown")


def pages() -> Iterator[tuple[Path, str]]:
    """Each page's path and whole text."""
    yield ROOT / "truth-table.md", truth_table()
    yield ROOT / "rules.md", rules_page()
    yield (
        ROOT / "metrics.md",
        metrics_page("<!-- Made by `python -m tests.docs` from operator/exposure/controller; edit that instead. -->"),
    )
    yield ROOT / "cnis.md", cni_page()
    yield ROOT / "blind-spots.md", blind_spot_page()
    for slug in LOAD_BALANCERS:
        yield ROOT / "providers" / f"{slug}.md", provider_page(slug)
    yield ROOT / "providers" / "README.md", provider_index()


def manifests() -> Iterator[tuple[Path, str]]:
    """The files that name every profile, provider and CNI: the CRDs, and the configuration that is installed."""
    for kind in ("exposurepolicies", "clusterexposurepolicies"):
        path = CRDS / f"exposure.dev_{kind}.yaml"
        yield path, PROFILE_ENUM.sub(_enum, path.read_text(encoding="utf-8"))
    text = CONFIGURATION.read_text(encoding="utf-8")
    for field, names in (("provider", PROVIDER_NAMES), ("cni", CNI_NAMES)):
        text = re.sub(rf"(?m)^  {field}: auto #.*$", f"  {field}: auto # {', '.join(names[1:])}", text)
    yield CONFIGURATION, text


def described_crds() -> Iterator[tuple[Path, str]]:
    """The page that describes the CRDs as they are now, and so what is made after them."""
    yield reference.PAGE, reference.page()


def _enum(written: re.Match[str]) -> str:
    indent = written["indent"]
    lines = textwrap.wrap(", ".join(("auto", *LOAD_BALANCERS)), 124 - len(indent) - 2, break_on_hyphens=False)
    return f"{indent}enum: [" + f"\n{indent}  ".join(lines) + "]"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def sources(row: DecisionRow) -> str:
    return " ∪ ".join(row.sources)


def lettered(row: DecisionRow) -> str:
    return " ∪ ".join(LETTERS[kind][0] for kind in row.sources)


def truth_table() -> str:
    rows = [
        [
            f"`{row.id}`",
            str(row.delivery),
            _kept(row.preserved),
            row.traffic_policy or "any",
            ", ".join(row.positions or ("any",)),
            f"{sources(row)} ({lettered(row)})",
            f"{row.why} ([source]({row.reference}))",
        ]
        for row in ROWS
    ]
    legend = "\n".join(f"- **{kind}** ({letter}): {text}" for kind, (letter, text) in LETTERS.items())
    head = ["row", "delivery", "client address", "externalTrafficPolicy", "position", "`from`", "because"]
    return f"""# The truth table

{MADE}

Which addresses a backend sees depends on how the load balancer delivers (to pods, or to nodes that forward), whether it
keeps the client's address, the Service's `externalTrafficPolicy`, and where the CNI filters relative to SNAT. The first
row that fits decides what an exposed Service's NetworkPolicy admits.

{table(head, rows)}

{legend}

If a row admits Nodes or Outside, a policy cannot enforce narrower clients. The Exposure then reports
[`SourceFilterLost`](blind-spots.md#sourcefilterlost). With `clients.unenforceable: Deny`, only the sources that a policy
can enforce are admitted. How each load balancer delivers: [providers](providers/README.md). Where each CNI filters: [CNIs](cnis.md).
What else decides: [the rules](rules.md).
"""


def _kept(preserved: bool | None) -> str:
    return {True: "kept", False: "replaced", None: "either"}[preserved]


def cni_page() -> str:
    rows = [
        [f"`{cni.slug}`", cni.position, _snat(cni), "; ".join(_quirks(cni)), f"[source]({cni.source})"]
        for cni in CNIS.values()
    ]
    marks = [[f"`{cni.slug}`", text] for cni in CNIS.values() for text in _marks(cni)]
    return f"""# CNIs

{MADE}

The position at which a CNI filters decides which addresses its policies must name. If the CNI cannot be detected, set
`network.cni` in the configuration.

{table(["CNI", "position", "Nodes: what nodes SNAT to", "quirks", "source"], rows)}

## How a CNI is recognized

The configured CNI is used. Without one, the first mark in this list that the cluster has decides.

{table(["CNI", "mark"], marks)}
"""


def _snat(cni: CNIProfile) -> str:
    parts = ["InternalIP (or `network.nodeCIDRs`)"] if cni.internal_ips else []
    parts += [f"`{key}`" for key in cni.snat_annotations]
    parts += [f"the .{index} of each podCIDR" for index in cni.pod_cidr_hosts]
    beside = _sourced(cni, "pod_cidr_hosts_beside_flannel", "of each podCIDR where flannel runs beside it")
    parts += [f"the .{index} {beside}" for index in cni.pod_cidr_hosts_beside_flannel]
    parts += [f"else {fallback}" for fallback in cni.snat_fallback]
    return ", ".join(parts)


def _marks(cni: CNIProfile) -> Iterator[str]:
    for mark in cni.marks:
        if mark.node_annotation:
            yield f"node annotation `{mark.node_annotation}`"
        else:
            yield f"agent pods labelled `{mark.agent_label}`" if mark.agent_label else "Calico IPPools"
    for provider in cni.enforced_on:
        text = f"provider {provider}, if no other CNI that enforces policies is detected"
        yield _sourced(cni, "enforced_on", text)


#: What the quirks of a CNI mean, by the field of the row and its value.
QUIRKS: Mapping[str, Mapping[Any, str]] = {
    "named_ports": {"by-number": "named target ports are written as numbers"},
    "pod_ranges": {
        "own": "pod CIDRs are excluded from wider blocks",
        "shared": "pods share ranges with load balancers: nothing is excluded",
        "matched-by-identity": "ipBlocks never match pods or nodes: nothing is excluded",
    },
    "pod_cidrs": {
        "until-one-lies-outside": "its IPAM may ignore the nodes' podCIDRs: they are not used once a pod lies outside",
        "once-one-lies-inside": "its IPAM may ignore the nodes' podCIDRs: they are not used until a pod lies inside, or "
        "once a pod lies outside",
    },
    "enforces": {False: "PolicyNotEnforced"},
    "enforces_cluster_policy": {False: "PolicyNotEnforced"},
    "own_node_bypass": {True: "OwnNodeBypass"},
    "egress_sees_cluster_ips": {True: "egress is filtered before DNAT: ClusterIPs are named beside pods"},
    "known": {False: "CNIUnknown"},
}


def _quirks(cni: CNIProfile) -> Iterator[str]:
    for name, meanings in QUIRKS.items():
        text = meanings.get(getattr(cni, name))
        if text is None:
            continue
        yield _sourced(cni, name, f"[`{text}`](blind-spots.md#{text.lower()})" if text in REASONS else text)


def _sourced(cni: CNIProfile, field: str, text: str) -> str:
    source = cni.quirk_sources.get(field)
    return f"{text} ([source]({source}))" if source else text


def blind_spot_page() -> str:
    effects = {
        "Opens": "more is admitted than was asked for",
        "Cuts": "less is admitted than was asked for",
        "Unproven": "it is not known what is admitted",
    }
    parts = [
        f"## {spot.reason}\n\n**{spot.effect}**: {effects[spot.effect]}.\n\n{spot.message}\n\n*Cure:* {spot.cure}"
        for spot in REASONS.values()
    ]
    body = "\n\n".join(parts)
    return f"""# Blind spots

{MADE}

A blind spot is what no NetworkPolicy can enforce at an entry point. Its Exposure lists it in `status.blindSpots`, with one of these
reasons.

{body}
"""


def provider_index() -> str:
    rows = [[f"[`{slug}`]({slug}.md)", _chosen(LOAD_BALANCERS[slug])] for slug in LOAD_BALANCERS]
    ids = [
        [text, row.provider, f"`{DEFAULTS[row.provider].slug}`"]
        for row in LOAD_BALANCERS.values()
        for text in _ids(row)
    ]
    ids += [[f"`{prefix}`", "none", f"`{WITHOUT_CLOUD.slug}`"] for prefix in NO_CLOUD_IDS]
    return f"""# Providers

{MADE}

The profile of an entry point is the first of: the policy's `loadBalancer.profile`, the Service's `loadBalancerClass`, its
annotations, the nodes' `spec.providerID`, `network.provider` of the configuration. A loadBalancerClass that no row has
means an unknown provider: only node addresses and configured ranges are admitted.

{table(["profile", "chosen by"], rows)}

{table(["providerID", "provider", "profile of a Service without class and annotations"], ids)}
"""


def _ids(row: LoadBalancerProfile) -> Iterator[str]:
    yield from (f"`{prefix}`" for prefix in row.provider_ids)
    if row.provider_id_pattern:
        yield f"the pattern `{row.provider_id_pattern}`".replace("|", "\\|")


def _chosen(row: LoadBalancerProfile) -> str:
    parts = [_condition(condition) for condition in row.chosen_by]
    parts += [f"Ingress or Gateway class {_listed(row.ingress_classes)}"] if row.ingress_classes else []
    parts += [f"controller {_listed(row.ingress_controllers)}"] if row.ingress_controllers else []
    parts += [f"an Ingress without a class at provider {row.provider}"] if row.default_ingress else []
    parts += [f"provider {row.provider}"] if row.default else []
    parts += ["no cloud"] if row.without_cloud else []
    parts += [
        f"as [`{other.slug}`]({other.slug}.md), {variant.name}"
        for other in LOAD_BALANCERS.values()
        for variant in other.variants
        if variant.becomes == row.slug
    ]
    return "; ".join(parts) or "the policy's `loadBalancer.profile`"


def _condition(condition: Condition) -> str:
    parts = [f"class {_listed(condition.classes)}"] if condition.classes else []
    parts += [
        f"`{key}`" + (f": {' or '.join(values)}" if values else "") for key, values in condition.annotations.items()
    ]
    parts += [f"no `{key}`" for key in condition.absent_annotations]
    parts += [f"an {condition.kind}"] if condition.kind else []
    parts += [f"Kubernetes {'.'.join(map(str, condition.since))} or newer"] if condition.since != (0, 0) else []
    return " and ".join(parts)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def provider_page(slug: str) -> str:
    row = LOAD_BALANCERS[slug]
    variants = "".join(f"\n{_variant(row, variant)}\n" for variant in row.variants)
    return f"""# {slug}

{MADE}

Chosen by: {_chosen(row)}.

{_bullets(_facts(row))}

{_decisions(row)}
{variants}"""


def _variant(row: LoadBalancerProfile, variant: Variant) -> str:
    """What differs from the row, and nothing else."""
    when = "; or ".join(map(_condition, variant.when))
    parts = [f"## {variant.name}", f"Where: {when} ([source]({variant.source}))."]
    if variant.becomes:
        parts.append(f"As [`{variant.becomes}`]({variant.becomes}.md).")
        return "\n\n".join(parts)
    varied = replace(row, **variant.changes)
    parts.append(_bullets([fact for fact in _facts(varied) if fact not in _facts(row)]))
    if _decisions(varied) != _decisions(row):
        parts.append(_decisions(varied))
    return "\n\n".join(parts)


def _bullets(facts: list[str]) -> str:
    return "\n".join(f"- {fact}" for fact in facts)


def _facts(profile: LoadBalancerProfile) -> list[str]:
    facts = [
        f"Delivers to **{profile.delivery}s**; the client's address is {_preserved(profile)} ([source]({profile.source})).",
        f"Its own addresses (`LoadBalancer`): {_own(profile)}.",
        f"Health checks at the pod's port (`HealthChecks`): {_probes(profile)}.",
        f"Source ranges: {_ranges(profile)}.",
    ]
    if profile.proxy_pods:
        pods = profile.proxy_pods
        facts.append(
            f"The pods of {pods.title} in {pods.namespace}, labelled `{pods.service_name_label}` and "
            f"`{pods.service_namespace_label}`, forward to the Service and masquerade. They are admitted too."
        )
    return facts


def _decisions(profile: LoadBalancerProfile) -> str:
    rows = []
    for policy in ("Local", "Cluster"):
        for position in POSITIONS:
            kept = bool(profile.preserved) and profile.preserved_with in (None, policy)
            row = decide(profile.delivery, kept, policy, position)
            held = SourceKind.CLIENTS in row.sources and SourceKind.NODES not in row.sources
            rows.append([policy, position, sources(row), "yes" if held else "no", f"[`{row.id}`](../truth-table.md)"])
    shown = table(["externalTrafficPolicy", "CNI position", "`from`", "the policy enforces source ranges", "row"], rows)
    return f"{shown}\n\n**To enforce source ranges:** {_advice(profile)}"


def _preserved(profile: LoadBalancerProfile) -> str:
    kept = (
        "replaced"
        if not profile.preserved
        else "kept"
        if len(profile.preserved) == 3
        else f"kept for {' and '.join(profile.preserved)} only"
    )
    also = f" only with externalTrafficPolicy {profile.preserved_with}" if profile.preserved_with else ""
    switch = (
        f"; `{profile.switch.annotation}`{f' ({profile.switch.attribute})' if profile.switch.attribute else ''} changes that"
        if profile.switch
        else ""
    )
    return kept + also + switch


def _own(profile: LoadBalancerProfile) -> str:
    match profile.own_addresses:
        case "none":
            return "no traffic arrives from them"
        case "configured":
            return "not known from the cluster. Set `loadBalancer.cidrs` or `network.loadBalancerCIDRs`"
        case "published":
            return "read from the Service's status"
        case networks:
            return ", ".join(map(str, networks))


def _probes(profile: LoadBalancerProfile) -> str:
    when = {
        "always": "",
        "cluster": ", with externalTrafficPolicy Cluster",
        "cluster-or-traffic-port": f", with externalTrafficPolicy Cluster or where `{profile.probe_port_annotation}` is traffic-port",
    }[profile.probes_when]
    match profile.probes:
        case "none":
            return "none"
        case "load-balancer":
            return f"the load balancer's addresses{when}"
        case networks:
            return f"{', '.join(map(str, networks))}{when}"


def _ranges(profile: LoadBalancerProfile) -> str:
    read = (
        ["spec.loadBalancerSourceRanges", *(f"`{key}`" for key in profile.range_annotations)]
        if profile.enforces_ranges or profile.range_annotations
        else []
    )
    held = (
        f"the load balancer enforces {' and '.join(read)}"
        if profile.enforces_ranges
        else "the load balancer enforces none; kube-proxy enforces spec.loadBalancerSourceRanges on VIP addresses"
    )
    return held + (
        ". Its controller refuses a Service that has both the field and the annotation"
        if profile.range_conflict
        else ""
    )


def _advice(profile: LoadBalancerProfile) -> str:
    if not profile.preserved:
        held = (
            "Set spec.loadBalancerSourceRanges, which the load balancer enforces."
            if profile.enforces_ranges
            else "Nothing in the cluster can filter clients, so filter at the load balancer."
        )
        return f"the policy sees only the load balancer. {held} `clients.cidrs` alone is reported as [`SourceRangesUnenforced`](../blind-spots.md#sourcerangesunenforced)."
    if profile.delivery == "pod":
        return "the policy enforces `clients.cidrs` and spec.loadBalancerSourceRanges where the client's address is kept, with either externalTrafficPolicy."
    return "set `externalTrafficPolicy: Local` (or use a data plane without SNAT); the policy then enforces `clients.cidrs` and spec.loadBalancerSourceRanges. With Cluster, set `clients.unenforceable: Deny` to refuse clients that the policy cannot distinguish."
