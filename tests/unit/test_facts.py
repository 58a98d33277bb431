"""The catalog: each row with its source, and nothing about a provider or a CNI anywhere else."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from exposure.catalog import cnis, providers
from exposure.catalog.annotations import is_marked, named_annotations
from exposure.catalog.blind_spots import REASONS, blind_spot
from exposure.catalog.cnis import CNIS, NODE_ANNOTATION_MARKS, CNIProfile
from exposure.catalog.decision_table import ROWS
from exposure.catalog.egress import METADATA
from exposure.catalog.profile import LoadBalancerProfile
from exposure.catalog.providers import ANNOTATION_MARKS, DEFAULTS, LOAD_BALANCERS
from tests.crds.api import schema

PACKAGE = Path(__file__).parents[2] / "operator" / "exposure"
#: Typed by hand, because people filter by these words: one more or less is a change that users see.
CATALOGUE = """
SourceFilterLost SourceRangesUnenforced AnnotationNotEnforced ConflictingSourceRanges FamilyRangesMissing
ServiceTagsNotExpressible CrossNodeTrafficDropped InClusterClientsExcluded EastWestOpen OwnNodeBypass NodeRangesWidened
LoadBalancerAddressesRequired HealthCheckSourcesUnknown PolicyNotEnforced CNIUnknown SelectorMissing ExternalName
HostNetworkBackends NamedPortUnresolved ForeignPolicySameName AdditivePolicy SharedPods NotIsolated Ungoverned
ProxyAmbiguous ProxyNotFound BackendNotGranted APIServerUnreachable WebhookUnreachable
"""


def test_the_catalogue_is_closed() -> None:
    """Every blind spot has a reason of this list, and each reason is documented."""
    assert sorted(CATALOGUE.split()) == sorted(REASONS)


def test_every_reason_is_raised_somewhere() -> None:
    """A reason that nothing reports documents what does not happen."""
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "blind_spots.py")
    assert [] == [name for name in REASONS if f'"{name}"' not in sources]


@pytest.mark.parametrize("name", sorted(REASONS))
def test_reasons_explain_themselves(name: str) -> None:
    """What it means and what to do, as sentences, short enough for a condition's message."""
    reason = REASONS[name]
    assert reason.effect in ("Opens", "Cuts", "Unproven")
    assert reason.message.endswith(".")
    assert reason.cure.endswith(".")
    assert len(reason.message) < 512


def test_a_blind_spot_says_what_is_special() -> None:
    """The meaning first, the case after it; effect and cure only where the case differs."""
    plain = blind_spot("NotIsolated")
    special = blind_spot("NotIsolated", "Namespace shop.", effect="Unproven", cure="Ask.")
    assert (REASONS["NotIsolated"].message, "Opens", REASONS["NotIsolated"].cure) == (
        plain.message,
        plain.effect,
        plain.cure,
    )
    assert (f"{plain.message} Namespace shop.", "Unproven", "Ask.") == (special.message, special.effect, special.cure)


@pytest.mark.parametrize(
    "url",
    [
        *(pytest.param(row.reference, id=f"row-{row.id}") for row in ROWS),
        *(pytest.param(cni.source, id=f"cni-{slug}") for slug, cni in CNIS.items()),
        *(
            pytest.param(source, id=f"cni-{slug}-{field}")
            for slug, cni in CNIS.items()
            for field, source in cni.quirk_sources.items()
        ),
        *(pytest.param(row.source, id=f"provider-{slug}") for slug, row in LOAD_BALANCERS.items()),
        *(
            pytest.param(variant.source, id=f"provider-{slug}-{variant.name}")
            for slug, row in LOAD_BALANCERS.items()
            for variant in row.variants
        ),
        *(pytest.param(url, id=f"metadata-{address}") for address, url in METADATA.items()),
    ],
)
def test_every_row_names_its_source(url: str) -> None:
    """A page or a file that a reader can open."""
    assert re.fullmatch(r"https://[a-z0-9.-]+/\S+", url)


@pytest.mark.parametrize("plural", ["exposurepolicies", "clusterexposurepolicies"])
def test_a_policy_can_name_each_profile(plural: str) -> None:
    """The CRDs' enum is the provider rows, and `auto`."""
    spec = schema(plural)["properties"]["spec"]["properties"]
    where = spec if "loadBalancer" in spec else spec["defaults"]["properties"]
    assert {"auto", *LOAD_BALANCERS} == set(where["loadBalancer"]["properties"]["profile"]["enum"])


@pytest.mark.parametrize("row", [pytest.param(row, id=row.slug) for row in cnis.ROWS])
def test_every_quirk_of_a_cni_names_its_source(row: CNIProfile) -> None:
    """Whatever is not as Kubernetes' documentation says, is said by another document."""
    ordinary = CNIProfile(row.slug, row.position, row.source)
    quirks = [
        field.name
        for field in fields(CNIProfile)
        if getattr(row, field.name) != getattr(ordinary, field.name)
        and field.name not in ("marks", "agent_namespaces", "quirk_sources", "internal_ips", "pod_cidr_hosts")
        and not field.name.startswith("snat_")
    ]
    assert sorted(quirks) == sorted(row.quirk_sources)


def test_each_row_is_there_once() -> None:
    """Two rows of one slug would hide each other: what varies within a row is a variant."""
    assert len(providers.ROWS) == len(LOAD_BALANCERS)
    assert len(cnis.ROWS) + 1 == len(CNIS)


def test_each_provider_has_one_default() -> None:
    """A Service that says nothing has one profile, and a cluster without a cloud has one too."""
    defaults = [row.provider for row in providers.ROWS if row.default]
    assert sorted(defaults) == sorted({row.provider for row in providers.ROWS})
    assert 1 == sum(row.without_cloud for row in providers.ROWS)
    assert all(DEFAULTS[row.provider] is row for row in providers.ROWS if row.provider_ids or row.provider_id_pattern)


def test_no_class_is_claimed_twice() -> None:
    """A class of an Ingress or Gateway, or its controller, leads to one row."""
    claimed = [name for row in providers.ROWS for name in (*row.ingress_classes, *row.ingress_controllers)]
    assert len(claimed) == len(set(claimed))


def test_variants_are_of_fields_and_rows_that_exist() -> None:
    """A slip in a name would be a crash at the first Service that it concerns."""
    known = {field.name for field in fields(LoadBalancerProfile)}
    for row in providers.ROWS:
        for variant in row.variants:
            assert set(variant.changes) <= known
            assert bool(variant.changes) != bool(variant.becomes)
            assert variant.becomes in ("", *LOAD_BALANCERS)


@pytest.mark.parametrize(
    "row",
    [
        *(pytest.param(row, id=row.slug) for row in providers.ROWS),
        *(pytest.param(row, id=f"cni-{row.slug}") for row in cnis.ROWS),
    ],
)
def test_annotations_of_a_row_are_kept(row: LoadBalancerProfile | CNIProfile) -> None:
    """A row that names an annotation which parsing drops would never see it."""
    marks = ANNOTATION_MARKS if isinstance(row, LoadBalancerProfile) else NODE_ANNOTATION_MARKS
    keys = [key.replace("*", "x") for key in named_annotations(row) if key]
    assert [] == [key for key in keys if not is_marked(key, marks)]


#: Log formats have names of their own.
NOT_A_CNI = {("flows/formats.py", "calico"), ("cli/options.py", "calico")}
#: Words that mean something else in most places.
PLAIN_WORDS = {"", "none", "unknown", "auto"}


def literals() -> Iterator[tuple[str, int, str]]:
    """Every text that stands in the code outside the catalog: file, line, text."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name != "catalog":
            for literal in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                    yield str(path.relative_to(PACKAGE)), literal.lineno, literal.value


def test_providers_and_cnis_are_named_in_the_catalog_alone() -> None:
    """What is special about one of them is a field of its row: no other code asks which one it is."""
    rows = providers.ROWS
    names = {*LOAD_BALANCERS, *DEFAULTS, *CNIS, *(name for row in rows for name in row.ingress_classes)}
    names |= {name for row in rows for name in row.ingress_controllers}
    names |= {name for row in rows for condition in row.chosen_by for name in condition.classes}
    names |= {prefix for row in rows for prefix in row.provider_ids}
    marks = tuple(mark for mark in (*ANNOTATION_MARKS, *NODE_ANNOTATION_MARKS) if mark != cnis.FLANNEL)
    named = [
        f"{path}:{line}: {text}"
        for path, line, text in literals()
        if (text in names - PLAIN_WORDS or text.startswith(marks)) and (path, text) not in NOT_A_CNI
    ]
    assert [] == named


def test_no_code_compares_a_slug() -> None:
    """Neither `cni.slug == "…"` nor `profile.slug.startswith("…")`, whatever the text."""
    compared = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Compare) and any(map(_is_slug, (node.left, *node.comparators))))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_slug(node.func.value))
    ]
    assert [] == compared


def _is_slug(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "slug"


def test_the_effects_are_those_of_the_crd() -> None:
    """What an Exposure may say and what the catalogue says."""
    status = schema("exposures")["properties"]["status"]["properties"]["blindSpots"]["items"]["properties"]
    assert {"Opens", "Cuts", "Unproven"} == set(status["effect"]["enum"])
