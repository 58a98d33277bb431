"""Label selectors: what they match, and when one certainly includes another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.labels import EVERYTHING, LabelSelector, Requirement, pairs, selecting
from exposure.networkpolicy.parse import label_selector

KEYS, VALUES = st.sampled_from(["app", "tier"]), st.sampled_from(["web", "db", ""])
LABELS = st.dictionaries(KEYS, VALUES)
REQUIREMENTS = st.builds(
    Requirement,
    KEYS,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Newer"]),
    st.lists(VALUES, max_size=2).map(tuple),
)
SELECTORS = st.builds(LabelSelector, LABELS.map(pairs), st.lists(REQUIREMENTS, max_size=2).map(tuple))


@given(SELECTORS, SELECTORS, LABELS)
def test_a_selector_that_covers_another_matches_all_of_it(
    wide: LabelSelector, narrow: LabelSelector, labels: dict[str, str]
) -> None:
    """For every set of labels, not only for those of known pods."""
    if wide.covers(narrow) and narrow.matches(pairs(labels)):
        assert wide.matches(pairs(labels))


@given(SELECTORS, LABELS)
def test_everything_covers_all(selector: LabelSelector, labels: dict[str, str]) -> None:
    """The empty selector covers and matches whatever there is, and only it is empty."""
    assert EVERYTHING.covers(selector)
    assert EVERYTHING.matches(pairs(labels))
    assert selector.empty == (selector == EVERYTHING)


@given(LABELS, LABELS)
def test_a_service_selector_needs_each_of_its_labels(wanted: dict[str, str], labels: dict[str, str]) -> None:
    """As kube-proxy's endpoints: every pair of the selector is among the pod's labels."""
    assert (wanted.items() <= labels.items()) == selecting(wanted).matches(pairs(labels))


@pytest.mark.parametrize(
    "operator, values, labels, matches",
    [
        pytest.param("In", ["web", "api"], {"app": "web"}, True, id="in"),
        pytest.param("In", ["web"], {"app": "db"}, False, id="not-in-the-list"),
        pytest.param("In", ["web"], {}, False, id="in-without-the-label"),
        pytest.param("NotIn", ["web"], {"app": "db"}, True, id="not-in"),
        pytest.param("NotIn", ["web"], {}, True, id="not-in-without-the-label"),
        pytest.param("NotIn", ["web"], {"app": "web"}, False, id="excluded"),
        pytest.param("Exists", [], {"app": ""}, True, id="exists-with-an-empty-value"),
        pytest.param("Exists", [], {}, False, id="exists-not"),
        pytest.param("DoesNotExist", [], {}, True, id="does-not-exist"),
        pytest.param("DoesNotExist", [], {"app": "web"}, False, id="does-exist"),
        pytest.param("Gt", ["1"], {"app": "2"}, False, id="an-operator-of-later-selects-nothing"),
    ],
)
def test_a_requirement_matches_labels(operator: str, values: list[str], labels: dict[str, str], matches: bool) -> None:
    """https://pkg.go.dev/k8s.io/apimachinery/pkg/labels#Requirement.Matches"""
    selector = label_selector({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]})
    assert matches == selector.matches(pairs(labels))


@pytest.mark.parametrize(
    "selector, text",
    [
        pytest.param({}, "every pod", id="everything"),
        pytest.param({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2", id="labels-sorted"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "a", id="exists"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "!a", id="does-not-exist"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["y", "x"]}]},
            "a notin (x,y)",
            id="not-in",
        ),
    ],
)
def test_a_selector_as_text(selector: dict[str, object], text: str) -> None:
    """As kubectl prints it."""
    assert text == str(label_selector(selector))
