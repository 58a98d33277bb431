"""What the operator says: Exposures, and the status of policies. Written when it changed, and never otherwise.

Nothing is called ready that was not read back: `differs` compares the plan with the live objects as the store has
them, from the watch or from the answers to our own writes.
"""

import asyncio
import datetime
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from exposure.controller.apply import Outcome, differs
from exposure.controller.client import Object
from exposure.controller.errors import ApiError, NamespaceTerminating, NotFound
from exposure.controller.events import Events, Subject
from exposure.controller.metrics import Metrics
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
PLANNED = 100
PLANNED_LENGTH = 1024
PLURALS = {"ExposurePolicy": "exposurepolicies", "ClusterExposurePolicy": "clusterexposurepolicies"}


@dataclass(frozen=True, slots=True)
class State:
    """One pass over a namespace: what should be, and what became of it."""

    resolution: Resolution
    plan: Plan
    outcome: Outcome


@dataclass(slots=True)
class Report:
    """How the writes of one report went."""

    writes: int = 0
    failures: int = 0
    retry_after: float = 0.0
    gone: bool = False


class Reporter:
    def __init__(self, store: Store, writer: Writer, events: Events, metrics: Metrics) -> None:
        self._store = store
        self._writer = writer
        self._events = events
        self._metrics = metrics
        #: What was sent and what the API server made of it, where the two differ (it prunes and defaults).
        self._sent: dict[Key, tuple[bytes, bytes]] = {}
        self._said: dict[tuple[str, str, str], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        self._spots: dict[str, Counter[str]] = {}
        #: The canary's proof as a condition, where one is at hand.
        self.verified: Callable[[], Object | None] = lambda: None

    async def report(self, state: State) -> Report:
        """Brings Exposures and the status of ExposurePolicies of one namespace up to date."""
        namespace, report = state.plan.namespace, Report()
        message = self.shortcoming(state)
        async with asyncio.TaskGroup() as group:
            wanted = {each.name: each for each in state.resolution.exposures}
            for exposure in wanted.values():
                body = self._due(exposure, message)
                if body is not None:
                    group.create_task(self._write_exposure(exposure, body, report))
            for name, live in self._store.exposures.in_namespace(namespace).items():
                if name not in wanted:
                    group.create_task(self._delete_exposure((namespace, name), live.uid, report))
            planned = self._planned(state)
            for outcome in state.resolution.outcomes:
                if outcome.policy.kind == "ExposurePolicy":
                    key = (namespace, outcome.policy.name)
                    more = {"planned": planned} if planned and outcome.mode == "Audit" else None
                    group.create_task(self.write_policy_status(key, outcome, message, report, more))
        self._count(state)
        return report

    def shortcoming(self, state: State) -> str:
        """Why the live policies do not equal the plan; "" where they do."""
        if state.plan.name_conflicts:
            names = ", ".join(state.plan.name_conflicts)
            return f"NetworkPolicy {names} exists and is not ours: rename or delete it."
        if state.outcome.failures:
            return state.outcome.failures[0]
        different = differs(state.plan, self._store)
        return f"NetworkPolicy {', '.join(different)} is not yet as planned." if different else ""

    def _planned(self, state: State) -> list[str]:
        """What enforcing would change, where something is only audited: a line a change, at most a hundred."""
        audited = state.resolution.audited
        if not audited:
            return []
        enforced = replace(state.resolution, policies=audited, audited=())
        plan = make_plan(enforced, self._store.policies.in_namespace(state.plan.namespace))
        lines = plan_text(replace(plan, changes=plan.writes)).splitlines()
        # Without Pods: what comes and goes with every rollout is no reason to write a status.
        lines += map(str, connectivity(self._store.snapshot, plan, pods=False))
        lines = [line[:PLANNED_LENGTH] for line in lines]
        return lines if len(lines) <= PLANNED else [*lines[: PLANNED - 1], f"and {len(lines) - PLANNED + 1} more"]

    def forget(self, namespace: str) -> None:
        self._spots.pop(namespace, None)
        self._sent = {key: each for key, each in self._sent.items() if key[0] != namespace}

    def _due(self, exposure: Exposure, message: str) -> Object | None:
        """The Exposure as it should be, or None where it is so already."""
        key = (exposure.namespace, exposure.name)
        live = self._store.exposures.get(key)
        body: Object = exposure_manifest(
            exposure,
            ready=not message,
            programmed_message=message,
            now=now(),
            previous_conditions=() if live is None else live.conditions,
        )
        verified = self.verified()
        if verified is not None:
            before = () if live is None else live.conditions
            body["status"]["conditions"] += conditions([verified], before, now())
        if live is None:
            return body
        wanted = digest(body)
        if live.digest == wanted or self._sent.get(key) == (wanted, live.digest):
            return None
        return body

    async def _write_exposure(self, exposure: Exposure, body: Object, report: Report) -> None:
        key = (exposure.namespace, exposure.name)
        before = self._store.exposures.get(key)
        try:
            written = await self._writer.apply("exposures", f"{API}/namespaces/{key[0]}/exposures/{key[1]}", body)
        except (ApiError, NotLeading) as error:
            _failed(error, report)
            return
        report.writes += 1
        self._store.exposures.put(written, quiet=True)
        wanted, made = digest(body), digest(written)
        if wanted == made:
            self._sent.pop(key, None)
        else:
            self._sent[key] = (wanted, made)
        if before is not None:
            self._tell_new_blind_spots(exposure, before.blind_spots)

    async def _delete_exposure(self, key: Key, uid: str, report: Report) -> None:
        try:
            await self._writer.delete("exposures", f"{API}/namespaces/{key[0]}/exposures/{key[1]}", uid)
        except NotFound:
            pass
        except (ApiError, NotLeading) as error:
            _failed(error, report)
            return
        report.writes += 1
        self._sent.pop(key, None)
        self._store.exposures.forget(key, uid)

    async def write_policy_status(
        self, key: Key, outcome: PolicyOutcome, message: str, report: Report, more: Object | None = None
    ) -> None:
        """The status of an ExposurePolicy or, with key ("", name), a ClusterExposurePolicy; `more` is added to it."""
        kind = outcome.policy.kind
        table = self._store.tables[kind]
        raw = table.raw.get(key)
        if raw is None or generation_of(raw) != outcome.generation:
            return  # a newer generation has arrived, and with it the next report
        live = raw["status"]
        conditions = tuple(live.get("conditions") or ())
        accepted = outcome.verdict.accepted
        programmed = (not message) if accepted else None
        status = policy_status(
            outcome, programmed=programmed, message=message, previous_conditions=conditions, now=now()
        )
        status |= more or {}
        if accepted:
            status["lastAccepted"] = {"generation": outcome.generation, "spec": raw["spec"] or {}}
        elif live.get("lastAccepted"):
            status["lastAccepted"] = live["lastAccepted"]
        wanted = _said(status)
        if wanted == _said(live) or self._said.get((kind, *key)) == (wanted, _said(live)):
            return
        name = key[1]
        where = f"namespaces/{key[0]}/" if key[0] else ""
        head = {"name": name, **({"namespace": key[0]} if key[0] else {})}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": head, "status": status}
        if outcome.uid:
            head["uid"] = outcome.uid
        try:
            path = f"{API}/{where}{PLURALS[kind]}/{name}/status"
            written = await self._writer.apply(f"{PLURALS[kind]}/status", path, body)
        except (ApiError, NotLeading) as error:
            _failed(error, report)
            return
        report.writes += 1
        table.put(written, quiet=True)
        made = _said(written.get("status") or {})
        if made == wanted:
            self._said.pop((kind, *key), None)
        else:
            self._said[kind, key[0], key[1]] = (wanted, made)
        subject = Subject(API_VERSION, kind, key[0], name, outcome.uid)
        self._tell_transitions(subject, conditions, status.get("conditions") or ())

    def _tell_transitions(
        self, subject: Subject, before: tuple[Mapping[str, Any], ...], after: tuple[Mapping[str, Any], ...]
    ) -> None:
        old = {each["type"]: each for each in before}
        for each in after:
            was = old.get(each["type"])
            if was is not None and (was["status"], was["reason"]) == (each["status"], each["reason"]):
                continue
            if each["type"] == "Accepted":
                accepted = each["status"] == "True"
                reason = "Accepted" if accepted else "Refused"
                self._events.post(subject, reason, each.get("message") or reason, warning=not accepted)
            elif each["type"] == "Programmed" and (each["status"] == "True" or was is not None):
                programmed = each["status"] == "True"
                reason = "Programmed" if programmed else "NotProgrammed"
                self._events.post(subject, reason, each.get("message") or reason, warning=not programmed)

    def _tell_new_blind_spots(self, exposure: Exposure, known: frozenset[str]) -> None:
        for spot in exposure.blind_spots:
            if spot.reason not in known:
                owner = exposure.owner
                subject = Subject(owner.api_version, owner.kind, exposure.namespace, owner.name, owner.uid)
                self._events.post(subject, spot.reason, f"{spot.message} {spot.cure}".strip(), warning=True)

    def _count(self, state: State) -> None:
        """Exposures and their blind spots, by reason, for the metrics."""
        namespace = state.plan.namespace
        tally = Counter(reason for e in state.resolution.exposures for reason in {s.reason for s in e.blind_spots})
        before = self._spots.get(namespace, Counter())
        if tally:
            self._spots[namespace] = tally
        else:
            self._spots.pop(namespace, None)
        for reason in {*tally, *before}:
            self._metrics.blind_spots.labels(reason).inc(tally[reason] - before[reason])
        self._metrics.exposures.set(len(self._store.exposures))


def _said(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """A status without the times of its conditions, which never are a reason to write."""
    conditions = [
        {k: v for k, v in each.items() if k != "lastTransitionTime"} for each in status.get("conditions") or ()
    ]
    return {**{k: v for k, v in status.items() if v not in (None, [], {})}, "conditions": conditions}


def _failed(error: ApiError | NotLeading, report: Report) -> None:
    if isinstance(error, NamespaceTerminating | NotFound):
        report.gone = True
        return
    report.failures += 1
    if isinstance(error, ApiError):
        report.retry_after = max(report.retry_after, error.retry_after or 0.0)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
