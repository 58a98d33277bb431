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
NOT_YET = "The NetworkPolicies are not written yet."
NOT_ACCEPTED = "The last accepted spec stays in force."


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
    status: dict[str, Any] = {
        "observedGeneration": outcome.generation,
        "conditions": conditions(_policy_conditions(outcome, programmed, message), previous_conditions, now),
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


def _policy_conditions(outcome: PolicyOutcome, programmed: bool | None, message: str) -> list[dict[str, Any]]:
    verdict, generation, mode = outcome.verdict, outcome.generation, outcome.mode
    accepted = condition("Accepted", verdict.accepted, verdict.reason, verdict.message, generation)
    if not verdict.accepted:
        written = condition("Programmed", False, "NotAccepted", NOT_ACCEPTED, generation)
        return [accepted, written, {**accepted, "type": "Ready"}]
    if mode in HELD_BACK:
        written = condition("Programmed", False, mode, f"{HELD_BACK[mode]} {outcome.note}".strip(), generation)
    elif programmed:
        written = condition("Programmed", True, "Programmed", f"{PROGRAMMED} {outcome.note}".strip(), generation)
        return [accepted, written, {**written, "type": "Ready", "reason": "Ready"}]
    else:
        written = condition("Programmed", programmed, "NotProgrammed", message or NOT_YET, generation)
    return [accepted, written, {**written, "type": "Ready"}]
