"""What the operator reports: Exposures, and the status of policies. It is written when it changed, and only then.

Nothing is reported as ready that was not read back: the plan is compared with the live objects of the store, which come
from watches and from the answers to our own writes.
"""

import asyncio
import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from exposure.controller.apply import ApplyResult
from exposure.controller.client import Object
from exposure.controller.errors import ApiError, NamespaceTerminating, NotFound
from exposure.controller.events import EventRecorder
from exposure.controller.metrics import Metrics
from exposure.controller.queue import PassResult
from exposure.controller.store import Store, digest, is_as_wanted, without_times
from exposure.controller.tables import Key, ObjectTable, key_of
from exposure.controller.writer import NotLeading, Writer
from exposure.fields import Raw, integer, mapping
from exposure.model.exposures import Exposure, PolicyOutcome, Resolution
from exposure.model.plans import Plan
from exposure.parse.kinds import API_VERSION
from exposure.plan.changes import make_plan
from exposure.plan.connectivity import connectivity
from exposure.plan.text import plan_text
from exposure.render.exposures import exposure_manifest
from exposure.render.status import conditions, policy_status

#: The bounds of `status.planned` in the CRD.
PLANNED_LINES = 100
PLANNED_LENGTH = 1024
#: The type and the status of a condition → the reason of the Event about it.
TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("Accepted", "True"): "Accepted",
    ("Accepted", "False"): "Refused",
    ("Programmed", "True"): "Programmed",
    ("Programmed", "False"): "NotProgrammed",
}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One pass over a namespace: what should exist, and what became of it."""

    resolution: Resolution
    plan: Plan
    result: ApplyResult


class Reporter:
    """`verified`: the condition Verified of every Exposure, by the canary. None: there is none."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        events: EventRecorder,
        metrics: Metrics,
        verified: Callable[[], Object | None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._events = events
        self._metrics = metrics
        self._verified = verified
        #: What was sent and what the API server stored, where these differ: it prunes and sets defaults. Without this
        #: memory such objects would be written again and again.
        self._stored_forms: dict[tuple[str, Key], tuple[object, object]] = {}
        #: namespace → reason → how many of its Exposures have that blind spot.
        self._blind_spots: dict[str, Counter[str]] = {}

    async def report(self, reconciliation: Reconciliation) -> PassResult:
        """Brings Exposures and the status of ExposurePolicies of one namespace up to date."""
        namespace, result = reconciliation.plan.namespace, PassResult()
        message = self.why_not_programmed(reconciliation)
        exposures = {exposure.name: exposure for exposure in reconciliation.resolution.exposures}
        async with asyncio.TaskGroup() as group:
            for exposure in exposures.values():
                body = self._due(exposure, message)
                if body is not None:
                    group.create_task(self._write_exposure(exposure, body, result))
            for name, live in self._store.exposures.in_namespace(namespace).items():
                if name not in exposures:
                    group.create_task(self._delete_exposure((namespace, name), live.uid, result))
            planned = self._planned(reconciliation)
            for outcome in reconciliation.resolution.outcomes:
                if outcome.policy.kind == "ExposurePolicy":
                    lines = planned if outcome.mode == "Audit" else ()
                    group.create_task(self.write_policy_status(namespace, outcome, message, result, lines))
        reasons = [{spot.reason for spot in exposure.blind_spots} for exposure in exposures.values()]
        self._count_blind_spots(namespace, Counter(reason for of_exposure in reasons for reason in of_exposure))
        self._metrics.exposures.set(len(self._store.exposures))
        return result

    def why_not_programmed(self, reconciliation: Reconciliation) -> str:
        """Why the live NetworkPolicies do not equal the plan. "" where they do."""
        plan = reconciliation.plan
        if plan.name_conflicts:
            names = ", ".join(plan.name_conflicts)
            return f"NetworkPolicy {names} exists, but the operator did not write it. Rename or delete it."
        if reconciliation.result.failures:
            return reconciliation.result.failures[0]
        live = self._store.policies.in_namespace(plan.namespace)
        # Of several changes to one policy, the last one says what should exist.
        planned = {change.name: None if change.verb == "delete" else change.policy for change in plan.changes}
        names = ", ".join(sorted(name for name in planned if not is_as_wanted(live.get(name), planned[name])))
        return f"NetworkPolicy {names} does not match the plan yet." if names else ""

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
        if len(lines) > PLANNED_LINES:
            lines[PLANNED_LINES - 1 :] = [f"and {len(lines) - PLANNED_LINES + 1} more"]
        return [line[:PLANNED_LENGTH] for line in lines]

    def forget(self, namespace: str) -> None:
        self._count_blind_spots(namespace, Counter())
        self._stored_forms = {owner: form for owner, form in self._stored_forms.items() if owner[1][0] != namespace}

    def _due(self, exposure: Exposure, message: str) -> Object | None:
        """The Exposure as it should be. None where it is so already."""
        live = self._store.exposures.get((exposure.namespace, exposure.name))
        previous = () if live is None else live.conditions
        body = exposure_manifest(exposure, message, now(), previous)
        verified = self._verified()
        if verified is not None:
            body["status"]["conditions"] += conditions([verified], previous, now())
        return None if live is not None and self._is_live(body, digest(body), live.digest) else body

    async def _write_exposure(self, exposure: Exposure, body: Object, result: PassResult) -> None:
        key, wanted = (exposure.namespace, exposure.name), digest(body)
        before = self._store.exposures.get(key)
        with self._store.expecting("Exposure", key, lambda live: live is not None and live.digest == wanted):
            is_written = await self._write(self._store.exposures, body, wanted, result)
        if not is_written or before is None:
            return
        owner = exposure.owner
        named = {"namespace": exposure.namespace, "name": owner.name, "uid": owner.uid}
        regarding = {"apiVersion": owner.api_version, "kind": owner.kind, **named}
        for spot in exposure.blind_spots:
            if spot.reason not in before.blind_spots:
                note = f"{spot.message} {spot.cure}".strip()
                self._events.post(regarding, spot.reason, note, warning=True)

    async def _delete_exposure(self, key: Key, uid: str, result: PassResult) -> None:
        try:
            await self._writer.delete("exposures", self._store.exposures.path(key), uid)
            self._store.exposures.forget(key, uid)
        except (ApiError, NotLeading) as error:
            result.fail(error)

    async def write_policy_status(
        self, namespace: str, outcome: PolicyOutcome, message: str, result: PassResult, planned: Sequence[str] = ()
    ) -> None:
        """The status of an ExposurePolicy or, in namespace "", of a ClusterExposurePolicy.

        `message`: why the live policies do not equal the plan, "" where they do. `planned`: what Enforce would change.
        """
        kind, name = outcome.policy.kind, outcome.policy.name
        table, key = self._store.tables[kind], (namespace, name)
        raw = table.raw.get(key)
        if raw is None or _generation(raw) != outcome.generation:
            return  # A newer generation has arrived. The next report is about that.
        live = raw["status"]
        previous = live.get("conditions") or ()
        status = policy_status(outcome, message, now(), previous)
        if planned:
            status["planned"] = list(planned)
        if outcome.verdict.accepted:
            status["lastAccepted"] = {"generation": outcome.generation, "spec": raw["spec"]}
        elif live.get("lastAccepted"):
            status["lastAccepted"] = live["lastAccepted"]
        metadata = {"name": name, "namespace": namespace, "uid": outcome.uid}
        body = {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {key: value for key, value in metadata.items() if value},
            "status": status,
        }
        wanted = without_times(status)
        if self._is_live(body, wanted, without_times(live)):
            return

        def is_expected(_: object) -> bool:
            live = table.raw.get(key)
            return (
                live is not None and _generation(live) == outcome.generation and without_times(live["status"]) == wanted
            )

        with self._store.expecting(kind, key, is_expected):
            is_written = await self._write(table, body, wanted, result, "/status")
        if is_written:
            self._post_transitions(body, previous)

    def _is_live(self, body: Object, wanted: object, live: object) -> bool:
        """Whether what is `live` is what the body says, or what the API server stores when this body is sent."""
        return live == wanted or self._stored_forms.get((body["kind"], key_of(body))) == (wanted, live)

    async def _write(
        self, table: ObjectTable, body: Object, sent: object, result: PassResult, subresource: str = ""
    ) -> bool:
        """Whether it was written. `sent`: what of the body is compared with what the API server stores."""
        try:
            written = await self._writer.apply(table, body, subresource)
        except (NamespaceTerminating, NotFound):
            return False  # There is nothing left to report on.
        except (ApiError, NotLeading) as error:
            result.fail(error)
            return False
        stored = _shown(written)
        if sent != stored:
            self._stored_forms[table.kind.kind, key_of(body)] = (sent, stored)
        return True

    def _post_transitions(self, policy: Object, previous: Sequence[Raw]) -> None:
        before = {condition["type"]: (condition["status"], condition["reason"]) for condition in previous}
        regarding = {"apiVersion": API_VERSION, "kind": policy["kind"], **policy["metadata"]}
        for condition in policy["status"]["conditions"]:
            kind, status = condition["type"], condition["status"]
            reason = TRANSITIONS.get((kind, status))
            changed = before.get(kind) != (status, condition["reason"])
            # Every policy begins as not programmed, which is no news.
            if reason and changed and (kind in before or reason != "NotProgrammed"):
                self._events.post(regarding, reason, condition["message"] or reason, warning=status != "True")

    def _count_blind_spots(self, namespace: str, reasons: Counter[str]) -> None:
        before = self._blind_spots.pop(namespace, Counter())
        if reasons:
            self._blind_spots[namespace] = reasons
        for reason in {*reasons, *before}:
            self._metrics.blind_spots.labels(reason).inc(reasons[reason] - before[reason])


def _shown(raw: Raw) -> object:
    """What of an Exposure or of a policy's status is compared."""
    return digest(raw) if raw["kind"] == "Exposure" else without_times(mapping(raw, "status"))


def _generation(raw: Raw) -> int:
    return integer(raw["metadata"], "generation", 1)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
