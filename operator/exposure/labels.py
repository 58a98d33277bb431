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
                # An operator of a later Kubernetes selects nothing, so that it never opens.
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
    """An empty selector matches everything; absence of a selector is None at its owner, never an empty one."""

    labels: Pairs = ()
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Pairs) -> bool:
        return all(pair in labels for pair in self.labels) and all(
            requirement.matches(labels) for requirement in self.requirements
        )

    @property
    def empty(self) -> bool:
        return not self.labels and not self.requirements

    def covers(self, other: "LabelSelector") -> bool:
        """Whether everything `other` selects is certainly selected here too: each condition here stands there."""
        return set(self.labels) <= set(other.labels) and set(self.requirements) <= set(other.requirements)

    def disjoint(self, other: "LabelSelector") -> bool:
        """Whether certainly nothing is selected by both: they ask for different values of one label."""
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
