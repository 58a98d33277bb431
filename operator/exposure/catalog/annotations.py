"""The annotations that rows of the catalog name. Parsing keeps these and drops all others."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any


def named_annotations(row: Any) -> Iterator[str]:
    """Every annotation that a row names, at any depth: in the fields that end in `annotation` or `annotations`."""
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name.endswith("annotation"):
            yield value
        elif field.name.endswith("annotations"):
            yield from value
        else:
            for part in value if isinstance(value, tuple) else (value,):
                if is_dataclass(part):
                    yield from named_annotations(part)


def annotation_marks(rows: Iterable[Any]) -> tuple[str, ...]:
    """The beginnings of the annotations that rows name. One that ends in `/` is a domain."""
    named = {key.removesuffix("*") for row in rows for key in named_annotations(row)}
    return tuple(sorted(named - {""}))


# Thousands of objects share the same few keys.
@lru_cache(maxsize=4096)
def is_marked(key: str, marks: tuple[str, ...]) -> bool:
    """Whether an annotation's key begins with one of the marks, or lies in a subdomain of one that is a domain."""
    domain = f"{key.partition('/')[0]}/"
    return key.startswith(marks) or any(mark.endswith("/") and domain.endswith(f".{mark}") for mark in marks)
