"""The operator's own loop: watch, ring, resolve, plan, apply, report. Kopf's part is in `host`."""

import asyncio
import gc
import logging
import os
import platform
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exposure.controller.apply import Outcome, apply
from exposure.controller.canary import Canary
from exposure.controller.client import Client, configuration
from exposure.controller.cluster_policies import ClusterReporter
from exposure.controller.discovery import Discovery
from exposure.controller.events import Events, Subject
from exposure.controller.intents import Intents
from exposure.controller.lease import Lease, NoLease
from exposure.controller.metrics import Metrics
from exposure.controller.probes import Probes
from exposure.controller.queue import Queue
from exposure.controller.reflector import Reflector
from exposure.controller.status import Reporter, State
from exposure.controller.store import Store
from exposure.controller.writer import Writer
from exposure.model.config import Config
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import make_plan
from exposure.resolve import ResolveCache, resolve

LEASE_NAME = "exposure-operator"
#: Of the ten seconds that a stop may take: for writes under way.
STOP_WRITES_SECONDS = 5.5
SURVEY_RETRY_SECONDS = 5.0
#: ClusterExposurePolicies are reported together, as if they were one namespace more; no namespace has an empty name.
CLUSTER = ""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    config: Config
    kubeconfig: str | None = None
    context: str | None = None
    listen: str = ":8080"
    leader_elect: bool = True


class Operator:
    """Everything that runs beside Kopf. Made and used on one event loop."""

    def __init__(self, options: Options, client: Client) -> None:
        self.client = client
        self.metrics = Metrics()
        self.store = Store(options.config, self.enqueue)
        self.discovery = Discovery(client)
        intents = ("ExposurePolicy", "ClusterExposurePolicy")
        self.intents = Intents(client, [self.store.tables[kind] for kind in intents], self.discovery, self.metrics)
        self.reflectors = [
            Reflector(client, table, self.discovery, self.metrics)
            for table in self.store.all_tables
            if table.kind.kind not in intents
        ]
        identity = os.environ.get("POD_NAME") or f"{platform.node()}-{uuid.uuid4().hex[:8]}"
        self.lease: Lease | NoLease = NoLease()
        if options.leader_elect:
            namespace = options.config.operator_namespace
            self.lease = Lease(client, namespace, LEASE_NAME, identity, self._gained, self._lost)
        self.writer = Writer(client, self.lease, self.metrics)
        self.events = Events(self.writer, identity)
        self.reporter = Reporter(self.store, self.writer, self.events, self.metrics)
        self.cluster_reporter = ClusterReporter(self.store, self.reporter)
        self.canary = Canary(
            client, self.writer, self.events, self.metrics, options.config, self._works, self.store.enqueue_all
        )
        self.reporter.verified = self.canary.condition
        self.queue = Queue(self._policies, self._reports, lambda: self.writer.has_room, self._refresh, self.metrics)
        self.probes = Probes(options.listen, self.missing, self.metrics)
        self._cache = ResolveCache()
        self._states: dict[str, State] = {}
        #: Policies of the last complete pass: what differs from them while the plan does not is drift.
        self._settled: dict[str, tuple[NetworkPolicy, ...]] = {}
        #: The facts of which the cluster-wide reports were told last.
        self._told: object = None
        self._synced = False
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics.leader.set_function(lambda: float(self.lease.leading))

    def missing(self) -> list[str]:
        """Plurals of the kinds that were not read yet."""
        unread = [each.kind.plural for each in self.reflectors if not each.synced.is_set()]
        return unread + ([] if self.intents.synced.is_set() else ["exposurepolicies"])

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; RuntimeError when a part that should never end has ended."""
        await self.probes.start()
        parts = [
            self.discovery.run(),
            self.intents.run(),
            *(each.run() for each in self.reflectors),
            self._start_work(),
        ]
        if isinstance(self.lease, Lease):
            parts.append(self.lease.run())
        if self.store.snapshot.config.canary.enabled:
            parts.append(self.canary.run())
        gc.disable()  # reading a whole cluster makes no garbage cycles, only passes of the collector over all of it
        self._tasks = [asyncio.create_task(part) for part in parts]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                raise RuntimeError("a part of the operator has ended") from task.exception()
        finally:
            stopping.cancel()
            await self._stop()

    def _works(self) -> bool:
        return self.lease.leading and self._synced

    def enqueue(self, namespaces: Iterable[str]) -> None:
        if self._works():
            self.queue.policies.enqueue(namespaces)

    async def _start_work(self) -> None:
        started = time.monotonic()
        for synced in [self.intents.synced, *(each.synced for each in self.reflectors)]:
            await synced.wait()
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(50_000, 20, 50)
        self._synced = True
        log.info("read everything", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
        self.store.begin()
        await self.queue.run()

    async def _stop(self) -> None:
        """No new writes; those under way are answered; then the lease goes to whoever waits."""
        for stage in (self.queue.policies, self.queue.reports):
            stage.clear()
        self._synced = False
        await asyncio.gather(
            self.queue.policies.stop(STOP_WRITES_SECONDS), self.queue.reports.stop(STOP_WRITES_SECONDS)
        )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if isinstance(self.lease, Lease):
            await self.lease.release()
        await self.probes.stop()
        await self.client.close()

    def _gained(self) -> None:
        if self._synced:
            self.store.enqueue_all()

    def _lost(self) -> None:
        self.queue.policies.clear()
        self.queue.reports.clear()
        self._states.clear()
        self._told = None

    def _refresh(self) -> None:
        """Once per burst: the facts of the cluster, and whoever they concern is rung."""
        if not self.lease.leading:
            return
        try:
            facts = self.store.cluster_facts()
        except Exception:
            # A mistake of ours about some object must not end the process: what stands goes on standing.
            log.exception("the facts of the cluster cannot be worked out")
            asyncio.get_running_loop().call_later(SURVEY_RETRY_SECONDS, self.queue.policies.wake.set)
            return
        # Not by staleness: a pass over a namespace may have been the first to ask for the new facts.
        if facts is not self._told:
            self._told = facts
            self.queue.reports.enqueue((CLUSTER,))

    async def _policies(self, namespace: str) -> bool | float:
        """The way of the data, once: snapshot, resolve, plan, apply; the report follows when policies are done."""
        started = time.perf_counter()
        known = self.store.snapshot.namespaces.get(namespace)
        if known is None or known.deleting:
            self._forget(namespace)
            return True
        resolution = resolve(self.store.snapshot, self.store.cluster_facts(), namespace, self._cache)
        live = self.store.policies.in_namespace(namespace)
        # The plan is what it was when it was last carried out: whatever there is to write, somebody else undid.
        drifted = self._settled.get(namespace) == resolution.policies
        plan = make_plan(resolution, live, self.store.snapshot.pods.get(namespace, {}).values())
        outcome = await apply(plan, self.store, self.writer)
        seconds = time.perf_counter() - started
        self._states[namespace] = State(resolution, plan, outcome)
        if outcome.complete:
            self._settled[namespace] = resolution.policies
        self.queue.reports.enqueue((namespace,))
        self.metrics.reconcile_seconds.observe(seconds)
        failed = bool(outcome.failures)
        self.metrics.reconciles.labels("failed" if failed else "ok").inc()
        if drifted and outcome.writes:
            self._tell_drift(namespace, [change.name for change in plan.writes])
        self._log(namespace, outcome, resolution.exposures, seconds)
        return (outcome.retry_after or False) if failed else True

    async def _reports(self, namespace: str) -> bool | float:
        if namespace == CLUSTER:
            report = await self.cluster_reporter.report()
            return (report.retry_after or False) if report.failures else True
        state = self._states.get(namespace)
        if state is None or state.outcome.terminating:
            return True
        report = await self.reporter.report(state)
        if self._states.get(namespace) is state and not report.failures:
            del self._states[namespace]
        if self.cluster_reporter.take(namespace, state, self.reporter.shortcoming(state)):
            self.queue.reports.enqueue((CLUSTER,))
        return (report.retry_after or False) if report.failures else True

    def _forget(self, namespace: str) -> None:
        self._states.pop(namespace, None)
        self._settled.pop(namespace, None)
        self._cache.forget(namespace)
        self.reporter.forget(namespace)
        if self.cluster_reporter.forget(namespace):
            self.queue.reports.enqueue((CLUSTER,))

    def _tell_drift(self, namespace: str, names: Sequence[str]) -> None:
        self.metrics.drift.inc(len(names))
        for name in names:
            subject = Subject("networking.k8s.io/v1", "NetworkPolicy", namespace, name)
            self.events.post(
                subject, "DriftPutBack", "It was changed by somebody else and has been put back.", warning=True
            )

    def _log(self, namespace: str, outcome: Outcome, exposures: Sequence[object], seconds: float) -> None:
        level = (
            logging.ERROR
            if outcome.failures
            else logging.INFO
            if outcome.writes or outcome.name_conflicts
            else logging.DEBUG
        )
        if not log.isEnabledFor(level):
            return
        extra: dict[str, object] = {
            "namespace": namespace,
            "created": outcome.created,
            "updated": outcome.updated,
            "deleted": outcome.deleted,
            "kept": outcome.kept,
            "exposures": len(exposures),
            "seconds": round(seconds, 4),
        }
        if outcome.name_conflicts:
            extra["nameConflicts"] = list(outcome.name_conflicts)
        if outcome.failures:
            extra["failures"] = outcome.failures[:5]
        log.log(level, "reconciled", extra={"fields": extra})


async def make(options: Options) -> Operator:
    return Operator(options, Client(await configuration(options.kubeconfig, options.context)))
