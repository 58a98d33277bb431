"""The pages: the truth table, one page a provider, the CNIs, the blind spots."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from exposure.catalog.blind_spots import REASONS
from exposure.catalog.choices import (
    BY_ANNOTATION,
    BY_CLASS,
    BY_PROVIDER,
    L7_BY_CLASS,
    L7_BY_CONTROLLER,
    PROVIDER_IDS,
)
from exposure.catalog.cnis import CNIS, DETECTION, Cni
from exposure.catalog.decision_table import ROWS, decide
from exposure.catalog.providers import PROFILES, SLUGS, Profile
from exposure.model.exposures import DecisionRow, Position, SourceKind
from tests.docs.metrics_page import metrics_page
from tests.docs.rules_page import rules_page

ROOT = Path(__file__).resolve().parents[2] / "docs" / "reference"
CRDS = Path(__file__).resolve().parents[2] / "crds"
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
    for slug in SLUGS:
        yield ROOT / "providers" / f"{slug}.md", provider_page(slug)
    yield ROOT / "providers" / "README.md", provider_index()


def crds() -> Iterator[tuple[Path, str]]:
    """The CRDs whose enum of profiles is the providers' data."""
    for kind in ("exposurepolicies", "clusterexposurepolicies"):
        path = CRDS / f"exposure.dev_{kind}.yaml"
        yield path, PROFILE_ENUM.sub(_enum, path.read_text(encoding="utf-8"))


def _enum(found: re.Match[str]) -> str:
    indent = found["indent"]
    lines = textwrap.wrap(", ".join(("auto", *SLUGS)), 124 - len(indent) - 2, break_on_hyphens=False)
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

Where a row would emit N or E for a Service that asks for narrower clients, the policy cannot hold them:
[`SourceFilterLost`](blind-spots.md#sourcefilterlost) says so, and `clients.unenforceable: Deny` admits only what can be
held. How each load balancer delivers: [providers](providers/README.md). Where each CNI filters: [CNIs](cnis.md).
What else decides: [the rules](rules.md).
"""


def _kept(preserved: bool | None) -> str:
    return {True: "kept", False: "replaced", None: "either"}[preserved]


def cni_page() -> str:
    rows = [
        [f"`{cni.slug}`", cni.position, _snat(cni), _quirks(cni), f"[source]({cni.source})"] for cni in CNIS.values()
    ]
    marks = [
        [
            f"`{mark.slug}`",
            f"node annotation `{mark.node_annotation}`"
            if mark.node_annotation
            else f"agent pods labelled `{mark.agent_label}`"
            if mark.agent_label
            else "Calico IPPools",
        ]
        for mark in DETECTION
    ]
    return f"""# CNIs

{MADE}

Where each CNI filters decides which addresses its policies must name. Set `network.cni` in the component configuration
where detection cannot know.

{table(["CNI", "position", "N: what nodes SNAT to", "quirks", "source"], rows)}

## How a CNI is recognised

The configured one wins; else the first mark that the cluster bears decides.

{table(["CNI", "mark"], marks)}
"""


def _snat(cni: Cni) -> str:
    parts = ["InternalIP (or `network.nodeCIDRs`)"] if cni.internal_ips else []
    parts += [f"`{each}`" for each in cni.node_annotations]
    parts += [f"the .{index} of each podCIDR" for index in cni.pod_cidr_hosts]
    parts += [f"else {each}" for each in cni.annotation_fallback]
    return ", ".join(parts)


def _quirks(cni: Cni) -> str:
    parts: list[str] = []
    if cni.named_ports == "by-number":
        parts.append("named target ports are written as numbers")
    parts.append(
        {
            "own": "pod CIDRs are carved out of wider blocks",
            "shared": "pods share ranges with load balancers: nothing is carved",
            "matched-by-identity": "ipBlocks never match pods or nodes: nothing is carved",
        }[cni.pod_ranges]
    )
    for holds, reason in (
        (not cni.enforces or not cni.enforces_cluster_policy, "PolicyNotEnforced"),
        (cni.own_node_bypass, "OwnNodeBypass"),
        (cni.slug == "unknown", "CNIUnknown"),
    ):
        if holds:
            parts.append(f"[`{reason}`](blind-spots.md#{reason.lower()})")
    return "; ".join(parts)


def blind_spot_page() -> str:
    effects = {
        "Opens": "more is let in than was asked for",
        "Cuts": "something that was asked for is not let in",
        "Unproven": "it depends on what cannot be seen from here",
    }
    parts = [
        f"## {reason.name}\n\n**{reason.effect}**: {effects[reason.effect]}.\n\n{reason.meaning}\n\n*Cure:* {reason.cure}"
        for reason in REASONS.values()
    ]
    body = "\n\n".join(parts)
    return f"""# Blind spots

{MADE}

What no NetworkPolicy can hold at an entry point stands in its Exposure under `status.blindSpots`, with one of these reasons.

{body}
"""


def provider_index() -> str:
    rows = [[f"[`{slug}`]({slug}.md)", _chosen(slug)] for slug in SLUGS]
    ids = [[f"`{prefix}`", provider, f"`{BY_PROVIDER[provider]}`"] for prefix, provider in PROVIDER_IDS.items()]
    return f"""# Providers

{MADE}

The profile of an entry point is the first of: the policy's `loadBalancer.profile`, the Service's `loadBalancerClass`, its
annotations, the nodes' `spec.providerID`, `network.provider` of the component configuration. A class that no row knows
is an unknown provider, of which only node addresses and configured ranges are admitted.

{table(["profile", "chosen by"], rows)}

{table(["providerID", "provider", "profile of a Service that says nothing"], ids)}
"""


def _chosen(slug: str) -> str:
    parts = [
        f"class {', '.join(f'`{c}`' for c in choice.classes)}" for choice in BY_CLASS if _slug(choice.profile) == slug
    ]
    parts += [
        " and ".join(
            f"`{key}`" + (f": {' or '.join(values)}" if values else "") for key, values in choice.annotations.items()
        )
        for choice in BY_ANNOTATION
        if _slug(choice.profile) == slug
    ]
    parts += [f"Ingress or Gateway class `{name}`" for name, profile in L7_BY_CLASS.items() if _slug(profile) == slug]
    parts += [f"controller `{name}`" for name, profile in L7_BY_CONTROLLER.items() if _slug(profile) == slug]
    parts += [f"provider {provider}" for provider, profile in BY_PROVIDER.items() if _slug(profile) == slug]
    return "; ".join(dict.fromkeys(parts)) or "the policy's `loadBalancer.profile`"


def _slug(name: str) -> str:
    return PROFILES[name].slug


def provider_page(slug: str) -> str:
    variants = [profile for profile in PROFILES.values() if profile.slug == slug]
    body = "\n\n".join(_variant(profile) for profile in variants)
    return f"""# {slug}

{MADE}

Chosen by: {_chosen(slug)}.

{body}
"""


def _variant(profile: Profile) -> str:
    title = f"## Variant `{profile.name}`\n\n" if profile.name else ""
    facts = [
        f"Delivers to **{profile.delivery}s**; the client's address is {_preserved(profile)} ([source]({profile.source})).",
        f"Its own addresses (L): {_own(profile)}.",
        f"Health checks at the pod's port (H): {_probes(profile)}.",
        f"Source ranges: {_ranges(profile)}.",
    ]
    rows = []
    for policy in ("Local", "Cluster"):
        for position in POSITIONS:
            kept = bool(profile.preserved) and profile.preserved_with in (None, policy)
            row = decide(profile.delivery, kept, policy, position)
            rows.append(
                [
                    policy,
                    position,
                    sources(row),
                    "yes" if SourceKind.CLIENTS in row.sources and SourceKind.NODES not in row.sources else "no",
                    f"[`{row.id}`](../truth-table.md)",
                ]
            )
    shown = table(["externalTrafficPolicy", "CNI position", "`from`", "the policy holds source ranges", "row"], rows)
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"{title}{listed}\n\n{shown}\n\n**So that source ranges really filter:** {_advice(profile)}"


def _preserved(profile: Profile) -> str:
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


def _own(profile: Profile) -> str:
    match profile.load_balancer:
        case "none":
            return "nothing arrives from them"
        case "configured":
            return "not to be read from the cluster: set `loadBalancer.cidrs` or `network.loadBalancerCIDRs`"
        case "published":
            return "read from the Service's status"
        case networks:
            return ", ".join(map(str, networks))


def _probes(profile: Profile) -> str:
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


def _ranges(profile: Profile) -> str:
    read = (
        ["spec.loadBalancerSourceRanges", *(f"`{key}`" for key in profile.range_annotations)]
        if profile.enforces_ranges or profile.range_annotations
        else []
    )
    held = (
        f"the load balancer enforces {' and '.join(read)}"
        if profile.enforces_ranges
        else "the load balancer enforces none of its own; kube-proxy enforces spec.loadBalancerSourceRanges on VIP addresses"
    )
    return held + ("; field and annotation at once are refused by the controller" if profile.range_conflict else "")


def _advice(profile: Profile) -> str:
    if not profile.preserved:
        held = (
            "Set spec.loadBalancerSourceRanges, which the load balancer holds."
            if profile.enforces_ranges
            else "Nothing in the cluster can: filter at the load balancer."
        )
        return f"the policy only ever sees the load balancer. {held} `clients.cidrs` alone is reported as [`SourceRangesUnenforced`](../blind-spots.md#sourcerangesunenforced)."
    if profile.delivery == "pod":
        return "`clients.cidrs` and spec.loadBalancerSourceRanges are held by the policy wherever the client's address is kept, under every externalTrafficPolicy."
    return "set `externalTrafficPolicy: Local` (or use a data plane without SNAT); the policy then holds `clients.cidrs` and spec.loadBalancerSourceRanges. With Cluster, set `clients.unenforceable: Deny` to refuse what cannot be held."
