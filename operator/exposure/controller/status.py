"""What the operator reports: Exposures, and the status of policies. It is written when it changed, and only then.

Nothing is reported as ready that was not read back: the plan is compared with the live objects of the store, which come
from watches and from the answers to our own writes.
"""

import asyncio
import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exposure.controller.apply import ApplyResult, not_as_planned
from exposure.controller.client import Object
from exposure.controller.errors import ApiError, NamespaceTerminating, NotFound
from exposure.controller.events import EventRecorder, ObjectReference
from exposure.controller.metrics import Metrics
from exposure.controller.queue import DONE, PassResult, RetryLater
from exposure.controller.store import Store, digest, generation_of
from exposure.controller.tables import Key
from exposure.controller.writer import NotLeading, Writer
from exposure.model.exposures import Exposure, PolicyOutcome, Resolution
from exposure.model.plans import Plan
from exposure.parse.kinds import API_VERSION
from exposure.plan import connectivity, make_plan, plan_text
from exposure.render import exposure_manifest, policy_status
from exposure.render.status import conditions

API = f"/apis/{API_VERSION}"
#: The bounds of `status.planned` in the CRD.
PLANNED_LINES = 100
PLANNED_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One pass over a namespace: what should exist, and what became of it."""

    resolution: Resolution
    plan: Plan
    result: ApplyResult


@dataclass(slots=True)
class ReportResult:
    """How the writes of one report went. `retry_after`: seconds, where the API server named a time."""

    failures: list[str] = field(default_factory=list)
    retry_after: float = 0.0

    @property
    def pass_result(self) -> PassResult:
        return RetryLater(self.retry_after) if self.failures else DONE

    def add(self, error: ApiError | NotLeading) -> None:
        # Where the object or its namespace is gone, there is nothing to report on.
        if isinstance(error, NamespaceTerminating | NotFound):
            return
        self.failures.append(str(error) or "this process does not lead")
        if isinstance(error, ApiError):
            self.retry_after = max(self.retry_after, error.retry_after or 0.0)


@dataclass(frozen=True, slots=True)
class StoredForm:
    """What was sent, and what the API server stored."""

    sent: object
    stored: object


class StoredForms:
    """The objects of which the API server stores another form than was sent: it prunes and sets defaults.

    Without this memory they would be written again and again.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[str, Key], StoredForm] = {}

    def is_live(self, kind: str, key: Key, wanted: object, live: object) -> bool:
        """Whether `live` is `wanted`, or what the API server stores when `wanted` is sent."""
        return live == wanted or self._forms.get((kind, key)) == StoredForm(wanted, live)

    def wrote(self, kind: str, key: Key, sent: object, stored: object) -> None:
        if sent == stored:
            self._forms.pop((kind, key), None)
        else:
            self._forms[kind, key] = StoredForm(sent, stored)

    def forget(self, namespace: str) -> None:
        self._forms = {owner: form for owner, form in self._forms.items() if owner[1][0] != namespace}


class Reporter:
    def __init__(self, store: Store, writer: Writer, events: EventRecorder, metrics: Metrics) -> None:
        self._store = store
        self._writer = writer
        self._events = events
        self._metrics = metrics
        self._stored_forms = StoredForms()
        #: namespace → reason → how many of its Exposures have that blind spot.
        self._blind_spots: dict[str, Counter[str]] = {}
        #: The condition Verified of every Exposure, by the canary. None: there is none.
        self.verified: Callable[[], Object | None] = lambda: None

    async def report(self, reconciliation: Reconciliation) -> ReportResult:
        """Brings Exposures and the status of ExposurePolicies of one namespace up to date."""
        namespace, result = reconciliation.plan.namespace, ReportResult()
        message = self.why_not_programmed(reconciliation)
        async with asyncio.TaskGroup() as group:
            wanted = {exposure.name: exposure for exposure in reconciliation.resolution.exposures}
            for exposure in wanted.values():
                body = self._due(exposure, message)
                if body is not None:
                    group.create_task(self._write_exposure(exposure, body, result))
            for name, live in self._store.exposures.in_namespace(namespace).items():
                if name not in wanted:
                    group.create_task(self._delete_exposure((namespace, name), live.uid, result))
            planned = self._planned(reconciliation)
            for outcome in reconciliation.resolution.outcomes:
                if outcome.policy.kind == "ExposurePolicy":
                    key = (namespace, outcome.policy.name)
                    lines = planned if outcome.mode == "Audit" else ()
                    group.create_task(self.write_policy_status(key, outcome, message, result, lines))
        reasons = ({spot.reason for spot in exposure.blind_spots} for exposure in wanted.values())
        self._count_blind_spots(namespace, Counter(reason for of_exposure in reasons for reason in of_exposure))
        self._metrics.exposures.set(len(self._store.exposures))
        return result

    def why_not_programmed(self, reconciliation: Reconciliation) -> str:
        """Why the live NetworkPolicies do not equal the plan. "" where they do."""
        plan = reconciliation.plan
        if plan.name_conflicts:
            names = ", ".join(plan.name_conflicts)
            return f"NetworkPolicy {names} exists, and the operator did not write it. Rename or delete it."
        if reconciliation.result.failures:
            return reconciliation.result.failures[0]
        names = ", ".join(not_as_planned(plan, self._store))
        return f"NetworkPolicy {names} is not yet as planned." if names else ""

    def _planned(self, reconciliation: Reconciliation) -> list[str]:
        """What enforcing would change, where policies are only audited: a line for every change."""
        audited = reconciliation.resolution.audited
        if not audited:
            return []
        enforced = replace(reconciliation.resolution, policies=audited, audited=())
        plan = make_plan(enforced, self._store.policies.in_namespace(reconciliation.plan.namespace))
        lines = plan_text(replace(plan, changes=plan.writes)).splitlines()
        # Without Pods: what comes and goes with every rollout is no reason to write a status.
        lines += map(str, connectivity(self._store.snapshot, plan, pods=False))
        lines = [line[:PLANNED_LENGTH] for line in lines]
        if len(lines) <= PLANNED_LINES:
            return lines
        return [*lines[: PLANNED_LINES - 1], f"and {len(lines) - PLANNED_LINES + 1} more"]

    def forget(self, namespace: str) -> None:
        self._count_blind_spots(namespace, Counter())
        self._stored_forms.forget(namespace)

    def _due(self, exposure: Exposure, message: str) -> Object | None:
        """The Exposure as it should be. None where it is so already."""
        key = (exposure.namespace, exposure.name)
        live = self._store.exposures.get(key)
        previous = () if live is None else live.conditions
        body: Object = exposure_manifest(
            exposure, ready=not message, programmed_message=message, now=now(), previous_conditions=previous
        )
        verified = self.verified()
        if verified is not None:
            body["status"]["conditions"] += conditions([verified], previous, now())
        if live is not None and self._stored_forms.is_live("Exposure", key, digest(body), live.digest):
            return None
        return body

    async def _write_exposure(self, exposure: Exposure, body: Object, result: ReportResult) -> None:
        key = (exposure.namespace, exposure.name)
        before = self._store.exposures.get(key)
        try:
            written = await self._writer.apply("exposures", _exposure_path(key), body)
        except (ApiError, NotLeading) as error:
            result.add(error)
            return
        self._store.exposures.put(written, own_write=True)
        self._stored_forms.wrote("Exposure", key, digest(body), digest(written))
        if before is not None:
            self._post_new_blind_spots(exposure, before.blind_spots)

    async def _delete_exposure(self, key: Key, uid: str, result: ReportResult) -> None:
        try:
            await self._writer.delete("exposures", _exposure_path(key), uid)
        except NotFound:
            pass
        except (ApiError, NotLeading) as error:
            result.add(error)
            return
        self._store.exposures.forget(key, uid)

    async def write_policy_status(
        self, key: Key, outcome: PolicyOutcome, message: str, result: ReportResult, planned: Sequence[str] = ()
    ) -> None:
        """The status of an ExposurePolicy or, with key ("", name), a ClusterExposurePolicy.

        `message`: why the live policies do not equal the plan, "" where they do. `planned`: what Enforce would change.
        """
        kind = outcome.policy.kind
        table = self._store.tables[kind]
        raw = table.raw.get(key)
        if raw is None or generation_of(raw) != outcome.generation:
            return  # A newer generation has arrived. The next report is about that.
        live = raw["status"]
        previous = tuple(live.get("conditions") or ())
        accepted = outcome.verdict.accepted
        programmed = (not message) if accepted else None
        status = policy_status(outcome, programmed=programmed, message=message, previous_conditions=previous, now=now())
        if planned:
            status["planned"] = list(planned)
        if accepted:
            status["lastAccepted"] = {"generation": outcome.generation, "spec": raw["spec"] or {}}
        elif live.get("lastAccepted"):
            status["lastAccepted"] = live["lastAccepted"]
        wanted = _without_times(status)
        if self._stored_forms.is_live(kind, key, wanted, _without_times(live)):
            return
        namespace, name = key
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        if outcome.uid:
            metadata["uid"] = outcome.uid
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}
        plural = table.kind.plural
        collection = f"{API}/namespaces/{namespace}/{plural}" if namespace else f"{API}/{plural}"
        try:
            written = await self._writer.apply(f"{plural}/status", f"{collection}/{name}/status", body)
        except (ApiError, NotLeading) as error:
            result.add(error)
            return
        table.put(written, own_write=True)
        self._stored_forms.wrote(kind, key, wanted, _without_times(written.get("status") or {}))
        policy = ObjectReference(API_VERSION, kind, namespace, name, outcome.uid)
        self._post_transitions(policy, previous, status["conditions"])

    def _post_transitions(
        self, policy: ObjectReference, before: tuple[Mapping[str, Any], ...], after: list[Mapping[str, Any]]
    ) -> None:
        previous = {condition["type"]: condition for condition in before}
        for condition in after:
            was = previous.get(condition["type"])
            if was is not None and (was["status"], was["reason"]) == (condition["status"], condition["reason"]):
                continue
            positive = condition["status"] == "True"
            if condition["type"] == "Accepted":
                reason = "Accepted" if positive else "Refused"
            elif condition["type"] == "Programmed" and (positive or was is not None):
                reason = "Programmed" if positive else "NotProgrammed"
            else:
                continue
            self._events.post(policy, reason, condition.get("message") or reason, warning=not positive)

    def _post_new_blind_spots(self, exposure: Exposure, known: frozenset[str]) -> None:
        owner = exposure.owner
        regarding = ObjectReference(owner.api_version, owner.kind, exposure.namespace, owner.name, owner.uid)
        for spot in exposure.blind_spots:
            if spot.reason not in known:
                self._events.post(regarding, spot.reason, f"{spot.message} {spot.cure}".strip(), warning=True)

    def _count_blind_spots(self, namespace: str, reasons: Counter[str]) -> None:
        before = self._blind_spots.pop(namespace, Counter())
        if reasons:
            self._blind_spots[namespace] = reasons
        for reason in {*reasons, *before}:
            self._metrics.blind_spots.labels(reason).inc(reasons[reason] - before[reason])


def _exposure_path(key: Key) -> str:
    return f"{API}/namespaces/{key[0]}/exposures/{key[1]}"


def _without_times(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """A status without the times of its conditions, which are no reason to write, and without empty fields."""
    conditions = [
        {field: value for field, value in condition.items() if field != "lastTransitionTime"}
        for condition in status.get("conditions") or ()
    ]
    filled = {field: value for field, value in status.items() if value not in (None, [], {})}
    return {**filled, "conditions": conditions}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
