"""Labels and label selectors: what a selector matches, and whether one covers another.

Semantics: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]

#: The API server puts this label on every namespace: it names one.
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Pairs) -> bool:
        there = dict(labels)
        match self.operator:
            case "In":
                return there.get(self.key) in self.values
            case "NotIn":
                return there.get(self.key) not in self.values
            case "Exists":
                return self.key in there
            case "DoesNotExist":
                return self.key not in there
            case _:
                # An operator that is not known here selects nothing, so that it never opens anything.
                return False

    def __str__(self) -> str:
        match self.operator:
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
            case operator:
                return f"{self.key} {operator.lower()} ({','.join(self.values)})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """An empty selector matches everything. A missing selector is None, never an empty one."""

    labels: Pairs = ()
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Pairs) -> bool:
        # A loop, because every Service asks about every pod, and all() of a generator takes three times as long.
        for pair in self.labels:
            if pair not in labels:
                return False
        return not self.requirements or all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.labels and not self.requirements

    def covers(self, other: "LabelSelector") -> bool:
        """Whether this selects everything that `other` selects: `other` has every condition of this selector."""
        return set(self.labels) <= set(other.labels) and set(self.requirements) <= set(other.requirements)

    def disjoint(self, other: "LabelSelector") -> bool:
        """Whether nothing can match both: they require different values of one label."""
        there = dict(other.labels)
        return any(there.get(key, value) != value for key, value in self.labels)

    def __str__(self) -> str:
        parts = [f"{key}={value}" for key, value in self.labels]
        return ",".join([*parts, *map(str, self.requirements)]) or "every pod"


EVERYTHING = LabelSelector()


def pairs(labels: Mapping[str, str]) -> Pairs:
    return tuple(sorted(labels.items()))


def selecting(labels: Mapping[str, str]) -> LabelSelector:
    """The selector that asks for each of `labels`."""
    return LabelSelector(pairs(labels))
