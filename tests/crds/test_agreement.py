"""`validation` and the API server agree: the same verdict, and the same field, over thousands of generated specs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from exposure.validation import problems
from tests.crds.api import Api, Json, Spec, schema
from tests.crds.test_good_inputs import CLUSTER_EVERYTHING, EVERYTHING
from tests.examples import examples
from tests.unit.test_parse_intent import spoilt

PLURALS = {"ExposurePolicy": "exposurepolicies", "ClusterExposurePolicy": "clusterexposurepolicies"}
_UNKNOWN = re.compile(r'unknown field "(.*?)"(?=, unknown field|$)', re.DOTALL)

# fmt: off
#: For every field: values of each type, and numbers at the bounds.
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 65535, 65536, 80.5, 2**31, 2**63, 2**70,
    "x", [], [None], [{}], ["x"], [["x"]], {}, {"unknown": 1}, {"": ""},
)
#: For every string: what is nearly a name, a port, a label, a CIDR.
ODD_TEXTS = (
    "", "X", "a b", "-a", "a-", "a--b", "a\n", "é", "80", "auto", "x" * 15, "x" * 16, "x" * 63, "x" * 64, "x" * 400,
    "10.0.0.0/8", "10.0.0.1/8", "10.0.0.0", "10/8", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/33", "10.0.0.0/255.0.0.0",
    "010.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0/8\n", "١٠.0.0.0/8", "0.0.0.0/0", "::/0", "::/129", "::/-1", "[::]/0",
    "2001:db8::/32", "2001:DB8::/32", "2001:db8:0:0::/32", "2001:db8::1/32", "2001:db8::/032", "1::2::/32",
    "12345::/16", "::10.0.0.0/104", "::ffff:10.0.0.0/104", "::ffff:0:0/80", "fe80::%eth0/64",
)
# fmt: on


def mutations(value: Any, of: Json) -> Iterator[Any]:
    """The value with one part made invalid, once for each part and each way to do so."""
    yield from ODD_VALUES
    if of.get("type", "string") == "string":
        yield from ODD_TEXTS
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        yield {**value, "unknown": None}
        for name, part in of.get("properties", {}).items():
            if name in value:
                yield {key: inner for key, inner in value.items() if key != name}
            for spoilt_part in mutations(value.get(name), part):
                yield {**value, name: spoilt_part}
        if "additionalProperties" in of:
            for spoilt_part in mutations(None, of["additionalProperties"]):
                yield {**value, "added": spoilt_part}
            for key in (*ODD_TEXTS, "a/b", "a/b/c"):
                yield {**value, key: "x"}
            yield {f"k{number}": "x" for number in range(of["maxProperties"] + 1)}
    if isinstance(value, list):
        yield [*value, *value[:1]]
        yield value * (of["maxItems"] + 1)
        for index, item in enumerate(value):
            for spoilt_item in mutations(item, of["items"]):
                yield [*value[:index], spoilt_item, *value[index + 1 :]]


def slim(value: Any) -> Any:
    """A valid spec with two of the numbers or names of each list, because the others are alike."""
    match value:
        case dict():
            return {key: slim(inner) for key, inner in value.items()}
        case list():
            return [slim(inner) for inner in value if isinstance(inner, dict)] or value[:2]
        case _:
            return value


def with_whole_numbers(value: Any) -> Any:
    """The value as kubectl sends it: 80 for 80.0, which is an integer to the server's schema and none to its rules."""
    match value:
        case dict():
            return {key: with_whole_numbers(inner) for key, inner in value.items()}
        case list():
            return [with_whole_numbers(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def disagreement(api: Api, kind: str, spec: Spec, name: str = "edge", **more: Any) -> str:
    """Where the API server and `validation` differ about an object; empty where they agree."""
    create = api.exposure_policy if kind == "ExposurePolicy" else api.cluster_exposure_policy
    answer = create(spec, name, **more)
    ours = {problem.field for problem in problems(kind, {"metadata": {"name": name}, "spec": spec, **more})}
    causes = answer.body.get("details", {}).get("causes") or [] if answer.status >= 300 else []
    theirs = {cause.get("field", "") for cause in causes}
    unknown = _UNKNOWN.findall(answer.message)
    if unknown:
        # The server has checked nothing else yet. Below a field of a wrong type, every field is unknown to it.
        agreed = all(field.startswith(tuple(ours)) for field in unknown)
    else:
        agreed = ours <= theirs and bool(ours) == (answer.status == 422)
    return "" if agreed else f"{json.dumps(spec)}: here {sorted(ours)}; there {answer.status} {answer.message}"


@pytest.mark.parametrize(
    "kind, good",
    [
        pytest.param("ExposurePolicy", slim(EVERYTHING), id="exposure-policies"),
        # Their defaults are an ExposurePolicy's spec: the first row.
        pytest.param("ClusterExposurePolicy", slim({**CLUSTER_EVERYTHING, "defaults": {}}), id="cluster-policies"),
    ],
)
def test_every_field_made_invalid(api: Api, kind: str, good: Json) -> None:
    """Each field in turn is missing, of a wrong type, out of range or nearly right; lists are empty or too long."""
    specs = {json.dumps(spec): spec for spec in mutations(good, schema(PLURALS[kind])["properties"]["spec"])}
    assert [] == [line for spec in specs.values() if (line := disagreement(api, kind, spec))]


@examples(200)
@given(spec=spoilt(EVERYTHING))
def test_any_json_in_an_exposure_policy(api: Api, spec: Spec) -> None:
    """Specs that no table above has."""
    assert "" == disagreement(api, "ExposurePolicy", with_whole_numbers(spec))


@examples(100)
@given(spec=spoilt(CLUSTER_EVERYTHING))
def test_any_json_in_a_cluster_exposure_policy(api: Api, spec: Spec) -> None:
    """The same for the platform team's policies."""
    assert "" == disagreement(api, "ClusterExposurePolicy", with_whole_numbers(spec))


@pytest.mark.parametrize("kind", PLURALS)
@pytest.mark.parametrize(
    "spec, name, more",
    [
        pytest.param(None, "edge", {}, id="no-spec"),
        pytest.param({}, "n" * 63, {}, id="a-name-of-63-characters"),
        pytest.param({}, "n" * 64, {}, id="a-name-of-64-characters"),
        pytest.param({}, "edge", {"clients": {}}, id="a-field-beside-spec"),
        pytest.param({}, "edge", {"status": {"conditions": []}}, id="status-is-not-validated"),
    ],
)
def test_beside_the_spec(api: Api, kind: str, spec: Spec, name: str, more: Json) -> None:
    """The name, the spec as a whole, and fields beside it."""
    assert "" == disagreement(api, kind, spec, name, **more)
