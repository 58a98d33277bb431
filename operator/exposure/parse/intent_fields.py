"""Reading what people ask for: a field that cannot be meant is never passed over, it is named, with its cure.

The CRDs' schemas and rules say the same to the API server; this is for what comes past it: files, older objects, what
`status` remembers. Lists that are merely long are read here: the CRDs bound them for the API server's sake.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any, TypeVar

from exposure.addresses import Network, strict_network
from exposure.fields import BadField, Raw
from exposure.labels import LabelSelector, Requirement

T = TypeVar("T")

_CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]{0,2})", re.ASCII)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_WITH_VALUES, _WITHOUT_VALUES = ("In", "NotIn"), ("Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Fields:
    """An object and its path, such as `spec.clients`. A null is an omission, as everywhere in Kubernetes."""

    raw: Raw
    path: str

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def says(self, key: str) -> bool:
        return self.raw.get(key) is not None

    def only(self, *known: str) -> "Fields":
        """Itself, if it has no other fields: one that is not understood may be the one that narrows."""
        for key in self.raw:
            if key not in known:
                raise BadField(self.at(str(key)), f"is an unknown field; known here: {', '.join(known)}")
        return self

    def fields(self, key: str) -> "Fields":
        """The object under `key`, without fields where it is omitted."""
        found = self.raw.get(key)
        return Fields({}, self.at(key)) if found is None else fields_of(found, self.at(key))

    def items(self, key: str) -> list[tuple[str, Any]]:
        """Each item of a list with its path."""
        found = self.raw.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise BadField(self.at(key), "is not a list; write one item a line, each after '- '")
        return [(f"{self.at(key)}[{index}]", item) for index, item in enumerate(found)]

    def each(self, key: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        return tuple(read(item, at) for at, item in self.items(key))

    def distinct(self, key: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        found = self.each(key, read)
        if len(set(found)) < len(found):
            raise BadField(self.at(key), "names the same entry twice; write it once")
        return found

    def some(self, key: str, read: Callable[[Any, str], T], otherwise: str) -> tuple[T, ...] | None:
        """As `distinct`; None where omitted. An empty list means nothing; `otherwise` says what omitting it does."""
        if not self.says(key):
            return None
        found = self.distinct(key, read)
        if not found:
            raise BadField(self.at(key), f"is empty; leave it out {otherwise}, or name at least one")
        return found

    def flag(self, key: str) -> bool | None:
        found = self.raw.get(key)
        if found is None or isinstance(found, bool):
            return found
        raise BadField(self.at(key), f"{found!r} is not true or false")

    def integer(self, key: str) -> int | None:
        found = self.raw.get(key)
        if found is None or (isinstance(found, int) and not isinstance(found, bool)):
            return found
        raise BadField(self.at(key), f"{found!r} is not a whole number")

    def text(self, key: str) -> str | None:
        found = self.raw.get(key)
        if found is None or (isinstance(found, str) and found):
            return found
        raise BadField(self.at(key), f"{found!r} is not a word; write one, or leave it out")

    def choice(self, key: str, allowed: tuple[str, ...]) -> str | None:
        return one_of(allowed)(self.raw[key], self.at(key)) if self.says(key) else None

    def selector(self, key: str) -> LabelSelector | None:
        return label_selector(self.raw[key], self.at(key)) if self.says(key) else None


def fields_of(value: Any, at: str) -> Fields:
    if not isinstance(value, dict):
        raise BadField(at, "is not an object; write fields under it")
    return Fields(value, at)


def one_of(allowed: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(value: Any, at: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise BadField(at, f"{value!r} is none of {', '.join(allowed)}")
        return value

    return read


def name(value: Any, at: str) -> str:
    """The name of a Service or a namespace."""
    if not isinstance(value, str) or len(value) > 63 or _DNS_LABEL.fullmatch(value) is None:
        cure = "write at most 63 lower case letters, digits and '-', without a pattern or a namespace"
        raise BadField(at, f"{value!r} is not a name; {cure}")
    return value


def cidr(value: Any, at: str) -> Network:
    """A CIDR as a NetworkPolicy takes it: no host bits, no zone, no IPv4 inside IPv6."""
    example = "write a CIDR such as 203.0.113.0/24 or 2001:db8::/48"
    if not isinstance(value, str) or _CIDR.fullmatch(value) is None:
        raise BadField(at, f"{value!r} is no address range; {example} (one address: /32 or /128)")
    try:
        found = strict_network(value)
    except ValueError as error:
        raise BadField(at, f"{error}; {example}") from error
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise BadField(at, f"{value!r} is IPv4 inside IPv6; write it as IPv4")
    return found


def port_number(value: Any, at: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise BadField(at, f"{value!r} is not a port; write a number from 1 to 65535, without quotes")
    return value


def service_port(value: Any, at: str) -> int | str:
    """A port of a Service, by number or by name."""
    return _named_port(value, at, 63) if isinstance(value, str) else port_number(value, at)


def container_port(value: Any, at: str) -> int | str:
    """A port of a container, by number or by name."""
    if isinstance(value, str) and "--" in value:
        raise BadField(at, f"{value!r} is not a port name; it may not hold '--'")
    return _named_port(value, at, 15) if isinstance(value, str) else port_number(value, at)


def _named_port(value: str, at: str, longest: int) -> str:
    if len(value) > longest or _DNS_LABEL.fullmatch(value) is None or not any(c.isalpha() for c in value):
        cure = f"a number from 1 to 65535, or a name of at most {longest} lower case letters, digits and '-'"
        raise BadField(at, f"{value!r} is not a port; write, without quotes, {cure}")
    return value


def label_selector(value: Any, at: str) -> LabelSelector:
    """https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/"""
    written = fields_of(value, at).only("matchLabels", "matchExpressions")
    labels = written.fields("matchLabels")
    for key, wanted in labels.raw.items():
        if not isinstance(key, str) or _LABEL_KEY.fullmatch(key) is None:
            raise BadField(labels.path, f"{key!r} is not a label key; write [prefix/]name")
        _label_value(wanted, labels.at(key))
    found = written.each("matchExpressions", _requirement)
    return LabelSelector(tuple(sorted(labels.raw.items())), tuple(sorted(found, key=str)))


def _requirement(value: Any, at: str) -> Requirement:
    written = fields_of(value, at).only("key", "operator", "values")
    key, operator = written.raw.get("key"), written.raw.get("operator")
    if not isinstance(key, str) or _LABEL_KEY.fullmatch(key) is None:
        raise BadField(written.at("key"), f"{key!r} is not a label key; write [prefix/]name")
    if operator not in (*_WITH_VALUES, *_WITHOUT_VALUES):
        raise BadField(written.at("operator"), f"{operator!r} is none of In, NotIn, Exists, DoesNotExist")
    values = written.each("values", _label_value)
    if bool(values) != (operator in _WITH_VALUES):
        cure = "name at least one value" if operator in _WITH_VALUES else "leave values out"
        raise BadField(written.at("values"), f"does not fit operator {operator}; {cure}")
    return Requirement(key, operator, tuple(sorted(values)))


def _label_value(value: Any, at: str) -> str:
    if not isinstance(value, str) or _LABEL_VALUE.fullmatch(value) is None:
        raise BadField(at, f"{value!r} is not a label value; write at most 63 letters, digits, '-', '_' and '.'")
    return value
