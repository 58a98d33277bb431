"""What the API server would say to an object of ours, said without one: the CRD's schema and its CEL rules.

The schema is read from the CRD itself. Its CEL rules are a closed set, so each has its counterpart here, found by the
rule's own text; a test holds the two sets, and the verdicts of a real API server, against each other.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias

import yaml

from exposure.addresses import Network, inside
from exposure.cli.documents import Loader

Schema: TypeAlias = Mapping[str, Any]

_CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]{0,2})", re.ASCII)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A field's path from the object's root, such as `spec.clients.cidrs[0]`, and what is wrong with it."""

    field: str
    message: str


def refusals(raw: Mapping[str, Any]) -> list[Refusal]:
    """Why the API server would refuse this object of a kind that one of our CRDs defines; empty where it would not."""
    schema = _schemas().get(str(raw.get("kind")))
    if schema is None:
        return []
    known = {key: value for key, value in raw.items() if key != "status"}
    # As the server does: CEL has its say only about what the schema lets through.
    return list(_structural(known, schema, "")) or list(_by_rules(known, schema, ""))


def without_nulls(raw: Any) -> Any:
    """The object as the server keeps it: it drops fields that are null where the schema does not allow null."""
    match raw:
        case dict():
            return {key: without_nulls(value) for key, value in raw.items() if value is not None}
        case list():
            return [without_nulls(each) for each in raw]
        case _:
            return raw


@cache
def _schemas() -> Mapping[str, Schema]:
    found = {}
    # A link to the repository's crds/, which building the package follows.
    for each in (files("exposure.cli") / "crds").iterdir():
        if each.name.endswith(".yaml"):
            crd = yaml.load(each.read_text(encoding="utf-8"), Loader)
            for version in crd["spec"]["versions"]:
                found[crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def _structural(value: Any, schema: Schema, at: str) -> Iterator[Refusal]:
    if not _has_type(value, schema):
        yield Refusal(at, f"is {_type_name(value)}, but must be {schema.get('type', 'an integer or a string')}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Refusal(at, f"{value!r} is none of {', '.join(map(str, schema['enum']))}")
    match value:
        case dict():
            yield from _fields(value, schema, at)
        case list():
            yield from _items(value, schema, at)
        case str():
            yield from _text(value, schema, at)
        case int() if not isinstance(value, bool):
            if value < schema.get("minimum", value):
                yield Refusal(at, f"{value} is less than {schema['minimum']}")
            if value > schema.get("maximum", value):
                yield Refusal(at, f"{value} is more than {schema['maximum']}")


def _has_type(value: Any, schema: Schema) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    match schema.get("type"):
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return True


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _fields(value: Mapping[Any, Any], schema: Schema, at: str) -> Iterator[Refusal]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield Refusal(_below(at, name), "is required")
    if len(value) > schema.get("maxProperties", len(value)):
        yield Refusal(at, f"has {len(value)} entries, more than {schema['maxProperties']}")
    for name, inner in value.items():
        where = _below(at, name)
        if not isinstance(name, str):
            yield Refusal(where, "is a key that is not a string; put it in quotes")
        elif where == "metadata":
            continue  # ObjectMeta has a schema of its own
        elif name in known:
            yield from _structural(inner, known[name], where)
        elif isinstance(rest, dict):
            yield from _structural(inner, rest, where)
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield Refusal(where, f"is unknown; known here: {', '.join(known) or 'nothing'}")


def _items(value: list[Any], schema: Schema, at: str) -> Iterator[Refusal]:
    if len(value) > schema.get("maxItems", len(value)):
        yield Refusal(at, f"has {len(value)} items, more than {schema['maxItems']}")
    if len(value) < schema.get("minItems", 0):
        yield Refusal(at, f"has {len(value)} items, fewer than {schema['minItems']}")
    for index, inner in enumerate(value):
        yield from _structural(inner, schema.get("items", {}), f"{at}[{index}]")
        if schema.get("x-kubernetes-list-type") == "set" and inner in value[:index]:
            yield Refusal(f"{at}[{index}]", f"{inner!r} is there twice")


def _text(value: str, schema: Schema, at: str) -> Iterator[Refusal]:
    if len(value) > schema.get("maxLength", len(value)):
        yield Refusal(at, f"is longer than {schema['maxLength']} characters")
    if len(value) < schema.get("minLength", 0):
        yield Refusal(at, f"is shorter than {schema['minLength']} characters")
    if "pattern" in schema and re.search(schema["pattern"], value, re.ASCII) is None:
        yield Refusal(at, f"{value!r} does not match {schema['pattern']}")


def _by_rules(value: Any, schema: Schema, at: str) -> Iterator[Refusal]:
    for rule in schema.get("x-kubernetes-validations", ()):
        # A rule of a newer CRD that is unknown here is left to the API server; a test sees to it that there is none.
        holds = RULES.get(rule["rule"])
        if holds is not None and not holds(value):
            yield Refusal((at + rule.get("fieldPath", "")).removeprefix("."), rule["message"])
    match value:
        case dict():
            known, rest = schema.get("properties", {}), schema.get("additionalProperties")
            for name, inner in value.items():
                below = known.get(name, rest)
                if isinstance(below, dict):
                    yield from _by_rules(inner, below, _below(at, name))
        case list():
            for index, inner in enumerate(value):
                yield from _by_rules(inner, schema.get("items", {}), f"{at}[{index}]")


def _below(at: str, name: object) -> str:
    return f"{at}.{name}" if at else str(name)


def _cidr(text: object) -> Network | None:
    """As CEL's isCIDR: address and prefix length, no IPv4 inside IPv6, no zone; host bits may be set."""
    if not isinstance(text, str) or _CIDR.fullmatch(text) is None:
        return None
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    written = ip_address(text.partition("/")[0])
    return None if isinstance(written, IPv6Address) and written.ipv4_mapped is not None else found


def _has_no_host_bits(text: str) -> bool:
    try:
        ip_network(text, strict=True)
    except ValueError:
        return _cidr(text) is None
    return True


def _strictly_inside(cuts: list[str], blocks: list[str]) -> bool:
    outer = [_cidr(each) for each in blocks]
    return all(
        any(each is not None and inside(cut, each) and each != cut for each in outer)
        for cut in map(_cidr, cuts)
        if cut is not None
    )


def _except_in_cidrs(clients: Schema) -> bool:
    cidrs = clients.get("cidrs", [])
    if "except" not in clients or not cidrs or any(_cidr(each) is None for each in cidrs):
        return True
    return _strictly_inside(clients["except"], cidrs)


def _except_in_cidr(block: Schema) -> bool:
    return "except" not in block or _cidr(block["cidr"]) is None or _strictly_inside(block["except"], [block["cidr"]])


def _is_port(value: int | str) -> bool:
    if isinstance(value, int):
        return 1 <= value <= 65535
    return _DNS_LABEL.fullmatch(value) is not None and re.search("[a-z]", value) is not None


def _end_port(port: Schema) -> bool:
    if "endPort" not in port:
        return True
    return isinstance(port.get("port"), int) and bool(port["endPort"] >= port["port"])


#: The CEL rules of crds/, by their text.
RULES: Mapping[str, Callable[[Any], bool]] = {
    "self.metadata.name.size() <= 63": lambda o: len(str((o.get("metadata") or {}).get("name", ""))) <= 63,
    "self.size() > 0": lambda o: len(o) > 0,
    "!(has(self.selector) && has(self.names))": lambda o: not ("selector" in o and "names" in o),
    "has(self.selector) || has(self.names)": lambda o: "selector" in o or "names" in o,
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || "
    "(has(self.matchExpressions) && size(self.matchExpressions) > 0)": lambda o: bool(
        o.get("matchLabels") or o.get("matchExpressions")
    ),
    r"self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))": lambda o: all(_LABEL_KEY.fullmatch(key) for key in o),
    "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)": lambda o: (
        o["operator"] not in ("In", "NotIn") or bool(o.get("values"))
    ),
    "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0": lambda o: (
        o["operator"] not in ("Exists", "DoesNotExist") or not o.get("values")
    ),
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')": lambda o: _DNS_LABEL.fullmatch(o) is not None,
    "!has(self.except) || !has(self.cidrs) || size(self.cidrs) == 0 || !self.cidrs.all(c, isCIDR(c)) || "
    "self.except.all(e, !isCIDR(e) || self.cidrs.exists(c, isCIDR(c) && cidr(c).containsCIDR(cidr(e)) && "
    "cidr(c).prefixLength() < cidr(e).prefixLength()))": _except_in_cidrs,
    "!has(self.except) || has(self.cidrs)": lambda o: "except" not in o or "cidrs" in o,
    "self.all(a, self.exists_one(b, a == b))": lambda o: all(o.count(each) == 1 for each in o),
    "isCIDR(self)": lambda o: _cidr(o) is not None,
    "!isCIDR(self) || cidr(self) == cidr(self).masked()": _has_no_host_bits,
    "type(self) == int ? (self >= 1 && self <= 65535) : "
    "(self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]'))": _is_port,
    "type(self) == int ? (self >= 1 && self <= 65535) : (self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && "
    "self.matches('[a-z]') && !self.contains('--'))": lambda o: _is_port(o) and "--" not in str(o),
    "has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)": lambda o: bool(
        {"podSelector", "namespaceSelector", "ipBlock"} & set(o)
    ),
    "!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))": lambda o: (
        "ipBlock" not in o or not {"podSelector", "namespaceSelector"} & set(o)
    ),
    "!has(self.except) || !isCIDR(self.cidr) || self.except.all(e, !isCIDR(e) || (isCIDR(self.cidr) && "
    "cidr(self.cidr).containsCIDR(cidr(e)) && cidr(self.cidr).prefixLength() < cidr(e).prefixLength()))": (
        _except_in_cidr
    ),
    "!has(self.endPort) || (has(self.port) && type(self.port) == int && self.endPort >= self.port)": _end_port,
}
