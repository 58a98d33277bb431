"""Reads fields of JSON that anyone may have written. A field of the wrong type counts as absent."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from exposure.addresses import address, network
from exposure.labels import Pairs

#: Not isdigit(), which accepts "²" and a million digits. int() refuses both.
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

Raw: TypeAlias = Mapping[str, Any]
T = TypeVar("T")


class BadField(ValueError):
    """The path of a field, and a sentence that says what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def mapping(raw: Raw, key: str) -> Raw:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def meta(raw: Raw) -> Raw:
    return mapping(raw, "metadata")


def sequence(raw: Raw, key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def objects(raw: Raw, key: str) -> list[Raw]:
    return [item for item in sequence(raw, key) if isinstance(item, dict)]


def text(raw: Raw, key: str, default: str = "") -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else default


def optional_text(raw: Raw, key: str) -> str | None:
    return text(raw, key) or None


def integer(raw: Raw, key: str, default: int = 0) -> int:
    value = raw.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def boolean(raw: Raw, key: str, default: T) -> bool | T:
    value = raw.get(key)
    return value if isinstance(value, bool) else default


def texts(raw: Raw, key: str) -> tuple[str, ...]:
    return tuple(item for item in sequence(raw, key) if isinstance(item, str))


def addresses(raw: Raw, key: str) -> tuple[str, ...]:
    """The texts that are addresses. One with a zone is valid on one machine only, so it is left out."""
    return tuple(written for written in texts(raw, key) if is_address(written))


def is_address(written: str) -> bool:
    return "%" not in written and address(written) is not None


def is_network(written: str) -> bool:
    try:
        network(written)
    except ValueError:
        return False
    return True


def labels(raw: Raw, key: str) -> Pairs:
    return tuple(sorted((k, v) for k, v in mapping(raw, key).items() if isinstance(k, str) and isinstance(v, str)))


def port(value: object) -> int | str | None:
    """A port number or name as Kubernetes' IntOrString writes it; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value:
        return int(value) if _NUMBER.fullmatch(value) else value
    return None


def each(raw: Raw, key: str, parse: Callable[[Raw], T]) -> tuple[T, ...]:
    return tuple(parse(item) for item in objects(raw, key))
