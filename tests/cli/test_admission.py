"""What is refused offline is what the API server refuses: the same tables are held against both."""

from typing import Any

import pytest
import yaml

from exposure.cli.admission import RULES, Refusal, refusals, without_nulls
from tests.cli.conftest import REPOSITORY
from tests.crds.test_bad_inputs import BAD_CLUSTER_SPECS, BAD_SPECS
from tests.crds.test_good_inputs import GOOD_CLUSTER_SPECS, GOOD_SPECS


def judged(kind: str, spec: Any) -> list[Refusal]:
    raw = {"apiVersion": "exposure.dev/v1alpha1", "kind": kind, "metadata": {"name": "edge"}, "spec": spec}
    return refusals(without_nulls(raw))


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_bad_exposure_policies(spec: Any, field: str, words: str) -> None:
    """The field that the API server names is the one that is named here."""
    assert f"spec.{field}" in [each.field for each in judged("ExposurePolicy", spec)]


@pytest.mark.parametrize("spec, field, words", BAD_CLUSTER_SPECS)
def test_bad_cluster_exposure_policies(spec: Any, field: str, words: str) -> None:
    """The same for the platform team's policies."""
    assert f"spec.{field}" in [each.field for each in judged("ClusterExposurePolicy", spec)]


@pytest.mark.parametrize("spec", GOOD_SPECS)
def test_good_exposure_policies(spec: Any) -> None:
    """What the API server accepts is not refused here."""
    assert [] == judged("ExposurePolicy", spec)


@pytest.mark.parametrize("spec", GOOD_CLUSTER_SPECS)
def test_good_cluster_exposure_policies(spec: Any) -> None:
    """The same for the platform team's policies."""
    assert [] == judged("ClusterExposurePolicy", spec)


def test_every_rule_of_the_crds_is_known() -> None:
    """A CEL rule that is added to a CRD needs its counterpart; one that is gone leaves none behind."""
    found: set[str] = set()

    def walk(schema: Any) -> None:
        match schema:
            case dict():
                found.update(rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))
                for inner in schema.values():
                    walk(inner)
            case list():
                for inner in schema:
                    walk(inner)

    for path in (REPOSITORY / "crds").glob("*.yaml"):
        walk(yaml.safe_load(path.read_text()))
    assert found == set(RULES)
