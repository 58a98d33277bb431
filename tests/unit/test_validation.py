"""What is refused without an API server. tests/crds runs the same tables on a real one."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from exposure.validation import Problem, definitions, problems, rules
from exposure.validation.schema import KEYWORDS, schema_problems
from tests.crds.test_bad_inputs import BAD_CLUSTER_SPECS, BAD_SPECS
from tests.crds.test_good_inputs import GOOD_CLUSTER_SPECS, GOOD_SPECS, at_every_limit, widest_selector

KINDS = tuple(definitions.PLURALS)


def judged(kind: str, spec: Any, name: str = "edge", **more: Any) -> list[Problem]:
    metadata = {"name": name, "labels": {"any": "label"}}
    return problems(
        kind, {"apiVersion": "exposure.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **more}
    )


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_an_invalid_exposure_policy_names_its_field(spec: Any, field: str, words: str) -> None:
    """The first problem is at the field that the API server names."""
    assert f"spec.{field}" == judged("ExposurePolicy", spec)[0].field


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_invalid_defaults_name_their_field(spec: Any, field: str, words: str) -> None:
    """The defaults of a ClusterExposurePolicy are validated like the spec of an ExposurePolicy."""
    assert f"spec.defaults.{field}" == judged("ClusterExposurePolicy", {"defaults": spec})[0].field


@pytest.mark.parametrize("spec, field, words", BAD_CLUSTER_SPECS)
def test_an_invalid_cluster_exposure_policy_names_its_field(spec: Any, field: str, words: str) -> None:
    """The first problem is at the field that the API server names."""
    assert f"spec.{field}" == judged("ClusterExposurePolicy", spec)[0].field


@pytest.mark.parametrize("spec", GOOD_SPECS)
def test_a_valid_exposure_policy_has_no_problem(spec: Any) -> None:
    """What the API server accepts is accepted here, as a spec and as defaults."""
    assert [] == judged("ExposurePolicy", spec)
    assert [] == judged("ClusterExposurePolicy", {"defaults": spec})


@pytest.mark.parametrize(
    "spec", [*GOOD_CLUSTER_SPECS, pytest.param({"namespaceSelector": widest_selector()}, id="the-widest-selector")]
)
def test_a_valid_cluster_exposure_policy_has_no_problem(spec: Any) -> None:
    """What the API server accepts is accepted here."""
    assert [] == judged("ClusterExposurePolicy", spec)


def test_every_list_may_be_at_its_limit() -> None:
    """The most that the API server accepts: thirty thousand CIDRs."""
    assert [] == judged("ExposurePolicy", at_every_limit())


@pytest.mark.parametrize(
    "spec, expected",
    [
        pytest.param(
            None,
            "spec: is missing, and it is required. Write spec: {} for its defaults",
            id="no-spec-is-a-mistake-of-indentation",
        ),
        pytest.param([], "spec: is a list, but must be an object", id="a-list"),
        pytest.param({"ports": "https"}, "spec.ports: is a string, but must be a list", id="not-a-list"),
        pytest.param(
            {"ports": [443, True]},
            "spec.ports[1]: is a boolean (true or false), but must be a whole number or a string",
            id="a-boolean-is-no-number",
        ),
        pytest.param(
            {"ports": [2**63]},
            "spec.ports[0]: is a number that is not whole, or longer than 64 bits, but must be a whole number or "
            "a string",
            id="more-than-64-bits",
        ),
        pytest.param(
            {"peers": [{"podSelector": {}}, None]}, "spec.peers[1]: is null, but must be an object", id="a-null"
        ),
        pytest.param(
            {"isolation": {"ingress": "no"}},
            "spec.isolation.ingress: is a string, but must be a boolean (true or false)",
            id="a-word-for-a-boolean",
        ),
        pytest.param(
            {"isolation": {"ingres": False}},
            "spec.isolation.ingres: is an unknown field. Known fields: ingress, egress, allowSameNamespace",
            id="a-typo",
        ),
        pytest.param({1: 2}, "spec.1: is a key that is not a string. Put it in quotes", id="a-key-that-is-a-number"),
        pytest.param(
            {"peers": [{"podSelector": {"matchLabels": {1: "a"}}}]},
            "spec.peers[0].podSelector.matchLabels.1: is a key that is not a string. Put it in quotes",
            id="a-label-that-is-a-number",
        ),
        pytest.param(
            {"peers": [{"ipBlock": {"except": []}}]},
            "spec.peers[0].ipBlock.cidr: is missing, and it is required",
            id="a-required-field",
        ),
        pytest.param(
            {"mode": "audit"}, "spec.mode: 'audit' is not supported. Supported: Enforce, Audit, Paused", id="enum"
        ),
        pytest.param(
            {"services": {"selector": {"matchExpressions": [{"key": "", "operator": "Exists"}]}}},
            "spec.services.selector.matchExpressions[0].key: has 0 characters. Use at least 1",
            id="too-short",
        ),
        pytest.param(
            {"services": {"names": ["web", "w" * 64]}},
            "spec.services.names[1]: has 64 characters. Use at most 63",
            id="too-long",
        ),
        pytest.param(
            {"egress": {"to": [{}] * 33}}, "spec.egress.to: has 33 items. Use at most 32", id="too-many-items"
        ),
        pytest.param(
            {"peers": [{"podSelector": {"matchLabels": {f"k{n}": "v" for n in range(33)}}}]},
            "spec.peers[0].podSelector.matchLabels: has 33 keys. Use at most 32",
            id="too-many-keys",
        ),
        pytest.param(
            {"egress": {"to": [{"ports": [{"port": 1, "endPort": 65536}]}]}},
            "spec.egress.to[0].ports[0].endPort: 65536 is too large. Use 65535 or less",
            id="too-large",
        ),
        pytest.param(
            {"peers": [{"podSelector": {"matchLabels": {"a": "b c"}}}]},
            "spec.peers[0].podSelector.matchLabels.a: 'b c' does not match "
            "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
            id="a-pattern",
        ),
        pytest.param(
            {"peers": [{"podSelector": {}}, {}]},
            "spec.peers[1]: selects nothing. Set podSelector, namespaceSelector or ipBlock",
            id="a-rule-with-its-own-sentence",
        ),
    ],
)
def test_the_message_of_a_problem(spec: Any, expected: str) -> None:
    """What is so and what is allowed, after the path of the field, with the index of a list's item."""
    assert expected == ": ".join(judged("ExposurePolicy", spec)[0])


def test_the_message_for_a_number_that_is_too_small() -> None:
    """No number of an ExposurePolicy has a minimum."""
    assert [("spec.limits.ports[1]", "0 is too small. Use 1 or more")] == judged(
        "ClusterExposurePolicy", {"limits": {"ports": [443, 0]}}
    )


def test_every_problem_is_named() -> None:
    """All problems at once: those of the schema or, where there are none, those of the rules."""
    by_schema = {"mode": "audit", "ports": "https", "clients": {"cidrs": [1, "10.0.0.1/8", 2]}}
    by_rules = {"clients": {"cidrs": ["10.0.0.1/8", "10.0.0.0/8", "x"]}, "services": {}}
    assert [
        {"spec.mode", "spec.ports", "spec.clients.cidrs[0]", "spec.clients.cidrs[2]"},
        {"spec.clients.cidrs[0]", "spec.clients.cidrs[2]", "spec.services"},
    ] == [{field for field, _ in judged("ExposurePolicy", spec)} for spec in (by_schema, by_rules)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_is_validated_beside_the_spec(kind: str) -> None:
    """A name becomes a label value. Other metadata and status are not validated here."""
    assert [] == judged(kind, {}, "n" * 63, status={"anything": [1]})
    assert ["metadata.name"] == [field for field, _ in judged(kind, {}, "n" * 64)]
    assert ["clients"] == [field for field, _ in judged(kind, {}, clients={})]
    assert [] == problems(kind, {"spec": {}})


def test_a_null_is_an_omission() -> None:
    """As everywhere in Kubernetes. For the rules too: only one of these two fields is set."""
    assert [] == judged("ExposurePolicy", {"mode": None, "services": {"selector": None, "names": ["web"]}})
    assert ["spec.services"] == [field for field, _ in judged("ExposurePolicy", {"services": {"names": None}})]


def test_below_an_unknown_field_nothing_is_read() -> None:
    """However deep it is."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert ["spec.deep"] == [field for field, _ in judged("ExposurePolicy", {"deep": deep})]


@pytest.mark.parametrize(
    "rule, value",
    [
        pytest.param("self.size() >", "a", id="one-that-does-not-compile"),
        pytest.param("self.nothing > 1", {}, id="a-field-that-is-missing"),
        pytest.param("cidr(self) == ''", "x", id="a-function-that-fails"),
        pytest.param("self == self", "\ud800", id="a-value-that-is-no-text"),
        pytest.param("self", "true", id="a-value-that-is-not-true"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_refuses(rule: str, value: Any) -> None:
    """As on the API server: what cannot be checked is not accepted."""
    schema = {"type": type_name(value), "properties": {}, "x-kubernetes-validations": [{"rule": rule, "message": "no"}]}
    assert [("at", "no")] == schema_problems(value, schema, "at")


def type_name(value: Any) -> str:
    return "object" if isinstance(value, dict) else "string"


@pytest.mark.parametrize(
    "text, pattern, matches",
    [
        pytest.param("web", "^[a-z]+$", True, id="whole"),
        pytest.param("-web-", "[a-z]", True, id="somewhere"),
        pytest.param("web\n", "^[a-z]+$", False, id="no-line-feed-at-the-end"),
        pytest.param("wéb", r"^\w+$", False, id="ascii-alone"),
    ],
)
def test_patterns_are_those_of_re2(text: str, pattern: str, matches: bool) -> None:
    """https://github.com/google/re2/wiki/Syntax: `$` is the end of the text, and classes are ASCII."""
    assert matches == rules.matches(text, pattern)


@pytest.mark.parametrize("kind", KINDS)
def test_every_keyword_of_the_crds_is_known(kind: str) -> None:
    """A new keyword in a CRD has to be implemented here as well."""
    understood = {keyword for keywords in KEYWORDS.values() for keyword in keywords} | {
        "type",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "format",  # each number has its bounds, too
        "x-kubernetes-int-or-string",
        "x-kubernetes-validations",
    }
    # These do not decide what is valid. Only lists of the kind `set` or `map` have items that must differ.
    silent = {"description", "x-kubernetes-map-type", "x-kubernetes-list-type"}
    parts = list(schemas(definitions.policy_schema(kind)["properties"]["spec"]))
    assert set() == {keyword for part in parts for keyword in part} - understood - silent
    assert {"atomic"} == {part["x-kubernetes-list-type"] for part in parts if "x-kubernetes-list-type" in part}
    assert {"rule", "message", "fieldPath"} >= {
        key for part in parts for rule in part.get("x-kubernetes-validations", ()) for key in rule
    }


def schemas(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and all schemas in it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for part in inner:
        if part is not None:
            yield from schemas(part)
