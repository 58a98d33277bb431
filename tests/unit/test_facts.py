"""The data tables: each row with its source, each name where the contract says it."""

import re
from pathlib import Path

import pytest

from exposure.catalog.blind_spots import REASONS, blind_spot
from exposure.catalog.choices import (
    BY_ANNOTATION,
    BY_CLASS,
    BY_PROVIDER,
    L7_BY_CLASS,
    L7_BY_CONTROLLER,
    PROVIDER_IDS,
)
from exposure.catalog.cnis import CNIS, DETECTION
from exposure.catalog.decision_table import ROWS
from exposure.catalog.egress import METADATA
from exposure.catalog.providers import PROFILES, SLUGS
from tests.crds.api import schema

#: Typed by hand, because people filter by these words: one more or less is a change that users see.
CATALOGUE = """
SourceFilterLost SourceRangesUnenforced AnnotationNotEnforced ConflictingSourceRanges FamilyRangesMissing
ServiceTagsNotExpressible CrossNodeTrafficDropped InClusterClientsExcluded EastWestOpen OwnNodeBypass NodeRangesWidened
LoadBalancerAddressesRequired HealthCheckSourcesUnknown PolicyNotEnforced CNIUnknown SelectorMissing ExternalName
HostNetworkBackends NamedPortUnresolved ForeignPolicySameName AdditivePolicy SharedPods NotIsolated Ungoverned
ProxyAmbiguous ProxyNotFound BackendNotGranted APIServerUnreachable WebhookUnreachable
"""
CHOSEN = [choice.profile for choice in (*BY_CLASS, *BY_ANNOTATION)]


def test_the_catalogue_is_closed() -> None:
    """Every blind spot has a reason of this list, and each reason is documented."""
    assert sorted(CATALOGUE.split()) == sorted(REASONS)


def test_every_reason_is_raised_somewhere() -> None:
    """A reason that nothing reports documents what does not happen."""
    sources = "".join(
        path.read_text()
        for path in (Path(__file__).parents[2] / "operator" / "exposure").rglob("*.py")
        if path.name != "reasons.py"
    )
    assert [] == [name for name in REASONS if f'"{name}"' not in sources]


@pytest.mark.parametrize("name", sorted(REASONS))
def test_reasons_explain_themselves(name: str) -> None:
    """What it means and what to do, as sentences, short enough for a condition's message."""
    reason = REASONS[name]
    assert reason.effect in ("Opens", "Cuts", "Unproven")
    assert reason.meaning.endswith(".")
    assert reason.cure.endswith(".")
    assert len(reason.meaning) < 512


def test_a_blind_spot_says_what_is_special() -> None:
    """The meaning first, the case after it; effect and cure only where the case differs."""
    plain = blind_spot("NotIsolated")
    special = blind_spot("NotIsolated", "Namespace shop.", effect="Unproven", cure="Ask.")
    assert (REASONS["NotIsolated"].meaning, "Opens", REASONS["NotIsolated"].cure) == (
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
        *(pytest.param(profile.source, id=f"provider-{name}") for name, profile in PROFILES.items()),
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
    assert {"auto", *SLUGS} == set(where["loadBalancer"]["properties"]["profile"]["enum"])


def test_every_choice_leads_to_a_profile() -> None:
    """A class, an annotation, a provider or a front end without a row would be a crash."""
    named = {*CHOSEN, *BY_PROVIDER.values(), *L7_BY_CLASS.values(), *L7_BY_CONTROLLER.values()}
    assert named <= set(PROFILES)
    assert set(PROVIDER_IDS.values()) <= set(BY_PROVIDER)
    assert {mark.slug for mark in DETECTION} <= set(CNIS)
    assert not any(profile.slug == "unknown" for name, profile in PROFILES.items() if name != "unknown")


def test_every_profile_can_be_chosen() -> None:
    """By detection or by name: no row is dead."""
    named = {*SLUGS, *CHOSEN, *BY_PROVIDER.values()}
    assert {profile.slug for profile in PROFILES.values()} <= named


def test_the_effects_are_those_of_the_crd() -> None:
    """What an Exposure may say and what the catalogue says."""
    status = schema("exposures")["properties"]["status"]["properties"]["blindSpots"]["items"]["properties"]
    assert {"Opens", "Cuts", "Unproven"} == set(status["effect"]["enum"])
