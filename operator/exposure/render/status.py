"""Conditions and the status of policies, by the conventions of the Kubernetes API.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exposure.model.exposures import PolicyOutcome

#: As many entries as the CRDs allow in a list; the count beside it is whole.
LISTED = 100
MESSAGE_LENGTH = 1024


def condition(
    kind: str, status: bool | None, reason: str, message: str, generation: int | None = None
) -> dict[str, Any]:
    """A condition without its time; None is Unknown."""
    shown = "Unknown" if status is None else str(status)
    found: dict[str, Any] = {"type": kind, "status": shown, "reason": reason, "message": message[:MESSAGE_LENGTH]}
    if generation is not None:
        found["observedGeneration"] = generation
    return found


def conditions(
    wanted: Iterable[dict[str, Any]], previous: Iterable[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """The conditions with their times: the time moves only when the status does."""
    before = {each.get("type"): each for each in previous}
    found = []
    for each in wanted:
        was = before.get(each["type"], {})
        kept = was.get("lastTransitionTime") if was.get("status") == each["status"] else None
        found.append({**each, "lastTransitionTime": kept or now})
    return found


def policy_status(
    outcome: PolicyOutcome,
    *,
    programmed: bool | None,
    message: str,
    previous_conditions: Iterable[Mapping[str, Any]] = (),
    now: str,
) -> dict[str, Any]:
    """The status of an ExposurePolicy or ClusterExposurePolicy. `programmed`: the live policies equal the plan.

    `message` says why they do not. `now` is RFC 3339, and used for conditions that change.
    """
    verdict, generation = outcome.verdict, outcome.generation
    wanted = [
        condition("Accepted", verdict.accepted, verdict.reason, verdict.message, generation),
        _programmed(outcome, programmed, message),
        _ready(outcome, programmed, message),
    ]
    governed = [each for each in outcome.services if each.governed]
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions(wanted, previous_conditions, now),
    }
    if outcome.policy.kind == "ExposurePolicy":
        status["mode"] = outcome.mode
        status["serviceCount"] = len(governed)
        status["services"] = [
            {"name": each.name, "governed": each.governed, "message": each.message[:MESSAGE_LENGTH]}
            for each in outcome.services[:LISTED]
        ]
    else:
        status["namespaceCount"] = len(outcome.namespaces)
        status["namespaces"] = list(outcome.namespaces[:LISTED])
    return status


def _programmed(outcome: PolicyOutcome, programmed: bool | None, message: str) -> dict[str, Any]:
    generation = outcome.generation
    if not outcome.verdict.accepted:
        return condition(
            "Programmed", False, "NotAccepted", "What is live follows the last accepted meaning.", generation
        )
    if outcome.mode == "Audit":
        return condition(
            "Programmed", False, "Audit", _with(outcome.note, "Planned and reported, not written."), generation
        )
    if outcome.mode == "Paused":
        return condition(
            "Programmed", False, "Paused", _with(outcome.note, "Everything is left as it stands."), generation
        )
    if programmed:
        return condition(
            "Programmed", True, "Programmed", _with(outcome.note, "The live policies equal the plan."), generation
        )
    return condition("Programmed", programmed, "NotProgrammed", message or "Not yet written.", generation)


def _ready(outcome: PolicyOutcome, programmed: bool | None, message: str) -> dict[str, Any]:
    base = _programmed(outcome, programmed, message)
    if not outcome.verdict.accepted:
        return condition("Ready", False, outcome.verdict.reason, outcome.verdict.message, outcome.generation)
    if base["status"] == "True":
        return condition("Ready", True, "Ready", base["message"], outcome.generation)
    return {**base, "type": "Ready"}


def _with(note: str, text: str) -> str:
    return f"{text} {note}".strip()
