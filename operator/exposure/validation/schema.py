"""Validates a value by a schema of Kubernetes: first its keywords and then, where they hold, its CEL rules.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from exposure.grouping import grouped
from exposure.validation.rules import holds, matches

Schema: TypeAlias = Mapping[str, Any]

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_NOUNS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a whole number",
    bool: "a boolean (true or false)",
    float: "a number that is not whole, or longer than 64 bits",
    type(None): "null",
}


class Problem(NamedTuple):
    """A field's path, such as `spec.clients.cidrs[0]`, and what is wrong with it. The path of the root is empty."""

    field: str
    message: str


#: Type → keyword → whether a value satisfies it, and the message if not.
KEYWORDS: Mapping[type, Mapping[str, tuple[Callable[[Any, Any], bool], str]]] = {
    str: {
        "enum": (lambda text, supported: text in supported, "{value!r} is not supported. Supported: {limit}"),
        "minLength": (lambda text, least: len(text) >= least, "has {size} characters. Use at least {limit}"),
        "maxLength": (lambda text, most: len(text) <= most, "has {size} characters. Use at most {limit}"),
        "pattern": (matches, "{value!r} does not match {limit}"),
    },
    int: {
        "minimum": (lambda number, least: number >= least, "{value} is too small. Use {limit} or more"),
        "maximum": (lambda number, most: number <= most, "{value} is too large. Use {limit} or less"),
    },
    list: {"maxItems": (lambda items, most: len(items) <= most, "has {size} items. Use at most {limit}")},
    dict: {"maxProperties": (lambda fields, most: len(fields) <= most, "has {size} keys. Use at most {limit}")},
}
WRONG_TYPE = "is {actual}, but must be {expected}"
REQUIRED = "is missing, and it is required"
REQUIRED_OBJECT = "is missing, and it is required. Write {name}: {{}} for its defaults"
UNKNOWN = "is an unknown field. Known fields: {known}"
KEY_NOT_A_STRING = "is a key that is not a string. Put it in quotes"


def schema_problems(value: Any, schema: Schema, field: str = "") -> list[Problem]:
    """What the API server would report. Like it, CEL is asked only about what the schema admits."""
    return list(_by_keywords(value, schema, field)) or list(_by_rules(_without_nulls(value), schema, field))


def _by_keywords(value: Any, schema: Schema, field: str) -> Iterator[Problem]:
    expected = (int, str) if "x-kubernetes-int-or-string" in schema else (_TYPES[schema["type"]],)
    # Not isinstance: a boolean is an int in Python, and nowhere else. Beyond 64 bits, the API server reads a float.
    actual = float if type(value) is int and not -(2**63) <= value < 2**63 else type(value)
    if actual not in expected:
        names = [_NOUNS.get(kind, f"a {kind.__name__}") for kind in (actual, *expected)]
        yield Problem(field, WRONG_TYPE.format(actual=names[0], expected=" or ".join(names[1:])))
        return
    for keyword, (keeps, message) in KEYWORDS.get(type(value), {}).items():
        limit = schema.get(keyword)
        if limit is not None and not keeps(value, limit):
            shown = ", ".join(limit) if keyword == "enum" else limit
            size = len(value) if hasattr(value, "__len__") else None
            yield Problem(field, message.format(value=value, limit=shown, size=size))
    if isinstance(value, dict):
        yield from _by_fields(value, schema, field)
    for part, part_schema, part_field in _parts(value, schema, field):
        yield from _by_keywords(part, part_schema, part_field)


def _by_fields(value: Mapping[Any, Any], schema: Schema, field: str) -> Iterator[Problem]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if value.get(name) is None:
            has_defaults = known[name]["type"] == "object" and "required" not in known[name]
            yield Problem(_below(field, name), (REQUIRED_OBJECT if has_defaults else REQUIRED).format(name=name))
    for name in value:
        if not isinstance(name, str):
            yield Problem(_below(field, name), KEY_NOT_A_STRING)
        elif name not in known and "additionalProperties" not in schema:
            yield Problem(_below(field, name), UNKNOWN.format(known=", ".join(known)))


def _by_rules(value: Any, schema: Schema, field: str) -> Iterator[Problem]:
    # Each rule once, for all values. Only where it fails, value by value.
    applicable = list(_rules(value, schema, field))
    parts_by_rule = grouped((rule["rule"], part) for rule, part, _ in applicable)
    broken = {rule for rule, parts in parts_by_rule.items() if not holds(rule, parts)}
    for rule, part, part_field in applicable:
        if rule["rule"] in broken and not holds(rule["rule"], [part]):
            yield Problem((part_field + rule.get("fieldPath", "")).removeprefix("."), rule["message"])


def _rules(value: Any, schema: Schema, field: str) -> Iterator[tuple[Schema, Any, str]]:
    """Every rule of a schema, with the value or part that it is about and its path. Those of parts come first."""
    for part in _parts(value, schema, field):
        yield from _rules(*part)
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule, value, field


def _parts(value: Any, schema: Schema, field: str) -> Iterator[tuple[Any, Schema, str]]:
    """The direct parts of a value, each with its schema and its path."""
    match value:
        case dict():
            for name, inner in value.items():
                inner_schema = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
                # A field that is null was omitted: the API server drops it.
                if inner_schema is not None and inner is not None:
                    yield inner, inner_schema, _below(field, name)
        case list():
            for index, inner in enumerate(value):
                yield inner, schema["items"], f"{field}[{index}]"


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
        case _:
            return value


def _below(field: str, name: object) -> str:
    return f"{field}.{name}" if field else str(name)
