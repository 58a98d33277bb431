"""Which policy governs a Service: exactly one, by rules that never depend on the order in which things were read.

`names` beats `selector` beats neither; an ExposurePolicy beats a ClusterExposurePolicy's defaults; the older beats the
newer (an object in a file has no age and counts as newest); then the name decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exposure.labels import Labels
from exposure.model.exposures import PolicyRef, Verdict
from exposure.model.intent import ExposureSpec

NEWEST = "~"


@dataclass(frozen=True, slots=True)
class Voice:
    """A policy as it speaks in one namespace: with the meaning that is accepted, and the verdict on what is written.

    `refused` is set where no meaning was ever accepted: it still governs, and grants nothing. `last` is the meaning
    that status remembers as accepted, where it may be needed.
    """

    ref: PolicyRef
    spec: ExposureSpec
    written: ExposureSpec
    verdict: Verdict
    created: str
    generation: int
    uid: str = ""
    refused: bool = False
    cluster: bool = False
    last: ExposureSpec | None = None

    @property
    def mode(self) -> str:
        return self.spec.mode or "Enforce"

    @property
    def age(self) -> tuple[str, str]:
        return self.created or NEWEST, self.ref.name


def claims(voice: Voice, name: str, labels: Labels, entry_points: frozenset[str]) -> int | None:
    """How specifically a policy speaks for a Service: 0 by name, 1 by selector, 2 by neither; None: not at all."""
    if not entry_points.intersection(voice.spec.selected_entry_points):
        return None
    if voice.spec.names is not None:
        return 0 if name in voice.spec.names else None
    if voice.spec.selector is not None:
        return 1 if voice.spec.selector.matches(labels) else None
    return 2


def governor(
    voices: Iterable[Voice], name: str, labels: Labels, entry_points: frozenset[str]
) -> tuple[Voice | None, Sequence[Voice]]:
    """The policy that governs a Service, and those that spoke for it and lost, best first."""
    ranked = sorted(
        (
            ((voice.cluster, claim, *voice.age), voice)
            for voice in voices
            if (claim := claims(voice, name, labels, entry_points)) is not None
        ),
        key=lambda each: each[0],
    )
    if not ranked:
        return None, ()
    return ranked[0][1], [voice for _, voice in ranked[1:]]
