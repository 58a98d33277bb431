"""Conditions and the status of policies, by the conventions of the Kubernetes API.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exposure.model.exposures import PolicyOutcome

#: As many entries as the CRDs allow in a list; the count beside it is whole.
LISTED = 100
MESSAGE_LENGTH = 1024
#: Why the plan of a mode is not written.
HELD_BACK = {"Audit": "NetworkPolicies are planned, but not written.", "Paused": "NetworkPolicies stay as they are."}
PROGRAMMED = "The live NetworkPolicies match the plan."
NOT_ACCEPTED = "The operator does not apply this spec, because it is not accepted."


def condition(
    kind: str, status: bool | None, reason: str, message: str, generation: int | None = None
) -> dict[str, Any]:
    """A condition without its time. `status` None is Unknown."""
    written = "Unknown" if status is None else str(status)
    made: dict[str, Any] = {"type": kind, "status": written, "reason": reason, "message": message[:MESSAGE_LENGTH]}
    return made if generation is None else {**made, "observedGeneration": generation}


def conditions(
    wanted: Iterable[dict[str, Any]], previous: Iterable[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """The conditions with their times: the time moves only when the status does."""
    before = {(condition.get("type"), condition.get("status")): condition for condition in previous}
    times = (before.get((condition["type"], condition["status"]), {}).get("lastTransitionTime") for condition in wanted)
    return [{**condition, "lastTransitionTime": time or now} for condition, time in zip(wanted, times, strict=True)]


def programmed(
    mode: str, not_programmed: str, note: str = "", generation: int | None = None
) -> tuple[bool, dict[str, Any]]:
    """Whether the live policies equal the plan of a mode that is written, and the condition that says so."""
    if mode in HELD_BACK:
        return False, condition("Programmed", False, mode, f"{HELD_BACK[mode]} {note}".strip(), generation)
    if not_programmed:
        return False, condition("Programmed", False, "NotProgrammed", not_programmed, generation)
    return True, condition("Programmed", True, "Programmed", f"{PROGRAMMED} {note}".strip(), generation)


def policy_status(
    outcome: PolicyOutcome, not_programmed: str, now: str, previous_conditions: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The status of an ExposurePolicy or ClusterExposurePolicy.

    `not_programmed`: why the live policies do not equal the plan, "" where they do. `now` is RFC 3339, and used for
    conditions that change.
    """
    status: dict[str, Any] = {
        "observedGeneration": outcome.generation,
        "conditions": conditions(_policy_conditions(outcome, not_programmed), previous_conditions, now),
    }
    if outcome.policy.kind == "ClusterExposurePolicy":
        status["namespaceCount"] = len(outcome.namespaces)
        status["namespaces"] = list(outcome.namespaces[:LISTED])
        return status
    status["mode"] = outcome.mode
    status["serviceCount"] = sum(service.governed for service in outcome.services)
    status["services"] = [
        {"name": service.name, "governed": service.governed, "message": service.message[:MESSAGE_LENGTH]}
        for service in outcome.services[:LISTED]
    ]
    return status


def _policy_conditions(outcome: PolicyOutcome, not_programmed: str) -> list[dict[str, Any]]:
    verdict, generation = outcome.verdict, outcome.generation
    accepted = condition("Accepted", verdict.accepted, verdict.reason, verdict.message, generation)
    if not verdict.accepted:
        written = condition("Programmed", False, "NotAccepted", NOT_ACCEPTED, generation)
        return [accepted, written, {**accepted, "type": "Ready"}]
    is_programmed, written = programmed(outcome.mode, not_programmed, outcome.note, generation)
    return [accepted, written, {**written, "type": "Ready", "reason": "Ready" if is_programmed else written["reason"]}]
