"""The operator's event loop: watch, enqueue, resolve, plan, apply, report.

Kopf runs in a thread beside it (`kopf_thread`). docs/concepts/two-event-loops.md shows how the two meet.
"""

import asyncio
import gc
import logging
import os
import platform
import signal
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from exposure.controller.apply import apply
from exposure.controller.canary import Canary
from exposure.controller.client import Client, connect
from exposure.controller.cluster_policies import ClusterReporter
from exposure.controller.discovery import Discovery
from exposure.controller.events import EventRecorder, ObjectReference
from exposure.controller.intents import Intents
from exposure.controller.kopf_thread import run_kopf
from exposure.controller.lease import Lease, NoLease
from exposure.controller.logs import fields
from exposure.controller.metrics import Metrics
from exposure.controller.probes import Probes
from exposure.controller.queue import DONE, PassResult, Scheduler
from exposure.controller.reflector import Reflector
from exposure.controller.status import Reconciliation, Reporter, ReportResult
from exposure.controller.store import Store
from exposure.controller.writer import Writer
from exposure.model.config import Config
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import make_plan
from exposure.resolve import ClusterFacts, ResolveCache, resolve

LEASE_NAME = "exposure-operator"
#: Of the ten seconds that a stop may take: for writes under way.
STOP_WRITES_SECONDS = 5.5
FACTS_RETRY_SECONDS = 5.0
#: ClusterExposurePolicies are reported together, as one more entry of the queue. No namespace has an empty name.
CLUSTER = ""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """The command line. `listen`: address and port of the probes, None for every address."""

    config: Config
    kubeconfig: str | None = None
    context: str | None = None
    listen: tuple[str | None, int] = (None, 8080)
    leader_elect: bool = True


async def run(options: OperatorOptions) -> None:
    """Runs the operator until SIGTERM or SIGINT.

    CannotStart where the options lead to no cluster or to no port. RuntimeError where a part of the operator fails.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Operator(options, await connect(options.kubeconfig, options.context)).run(stop)


class Operator:
    """All parts and what ties them together. It is made and used on one event loop."""

    def __init__(self, options: OperatorOptions, client: Client) -> None:
        self.client = client
        self.metrics = Metrics()
        self.store = Store(options.config, self.enqueue)
        self.discovery = Discovery(client)
        intents = [self.store.tables[kind] for kind in ("ExposurePolicy", "ClusterExposurePolicy")]
        self.intents = Intents(client, intents, self.discovery, self.metrics)
        facts = [table for table in self.store.all_tables if table not in intents]
        self.reflectors = [Reflector(client, table, self.discovery, self.metrics) for table in facts]
        identity = os.environ.get("POD_NAME") or f"{platform.node()}-{uuid.uuid4().hex[:8]}"
        self.lease: Lease | NoLease = NoLease()
        if options.leader_elect:
            namespace = options.config.operator_namespace
            self.lease = Lease(client, namespace, LEASE_NAME, identity, self._lease_gained, self._lease_lost)
        self.metrics.leader.set_function(lambda: float(self.lease.leading))
        self.writer = Writer(client, self.lease, self.metrics)
        self.events = EventRecorder(self.writer, identity)
        self.reporter = Reporter(self.store, self.writer, self.events, self.metrics)
        self.cluster_reporter = ClusterReporter(self.store, self.reporter)
        self.canary = Canary(
            client, self.writer, self.events, self.metrics, options.config, self._is_active, self.store.enqueue_all
        )
        self.reporter.verified = self.canary.condition
        self.scheduler = Scheduler(
            self.reconcile, self.report, lambda: self.writer.has_capacity, self._refresh_facts, self.metrics
        )
        self.probes = Probes(options.listen, self.missing, self.metrics)
        self._cache = ResolveCache()
        #: The last pass over each namespace that has not been reported in full.
        self._unreported: dict[str, Reconciliation] = {}
        #: The NetworkPolicies of the last complete pass. What differs from them under an equal plan is drift.
        self._settled: dict[str, tuple[NetworkPolicy, ...]] = {}
        #: The facts at the last report on ClusterExposurePolicies.
        self._reported_facts: ClusterFacts | None = None
        self._everything_is_read = False
        self._tasks: list[asyncio.Task[None]] = []

    def missing(self) -> list[str]:
        """The plurals of the kinds that were not read yet."""
        unread = [reflector.kind.plural for reflector in self.reflectors if not reflector.synced.is_set()]
        return unread + ([] if self.intents.synced.is_set() else ["exposurepolicies"])

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. RuntimeError where a part ends that never should."""
        try:
            await self.probes.start()
            parts = [
                self.discovery.run(),
                self.intents.run(),
                *(reflector.run() for reflector in self.reflectors),
                run_kopf(self.client.configuration, self.intents),
                self._work(),
            ]
            if isinstance(self.lease, Lease):
                parts.append(self.lease.run())
            if self.store.snapshot.config.canary.enabled:
                parts.append(self.canary.run())
            gc.disable()  # Reading a cluster makes no garbage cycles, and every collection would look at all of it.
            self._tasks = [asyncio.create_task(part) for part in parts]
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for task in done - {stopping}:
                raise RuntimeError("a part of the operator has ended") from task.exception()
        finally:
            await self._stop()

    async def _work(self) -> None:
        started = time.monotonic()
        for synced in [self.intents.synced, *(reflector.synced for reflector in self.reflectors)]:
            await synced.wait()
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(50_000, 20, 50)
        self._everything_is_read = True
        log.info("everything is read", extra=fields(seconds=round(time.monotonic() - started, 3)))
        self.store.begin()
        await self.scheduler.run()

    async def _stop(self) -> None:
        """No new writes begin, and those under way are answered. Then the lease goes to a standby."""
        self._everything_is_read = False
        await self.scheduler.stop(STOP_WRITES_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if isinstance(self.lease, Lease):
            await self.lease.release()
        await self.probes.stop()
        await self.client.close()

    def _is_active(self) -> bool:
        return self.lease.leading and self._everything_is_read

    def enqueue(self, namespaces: Iterable[str]) -> None:
        if self._is_active():
            self.scheduler.policies.enqueue(namespaces)

    def _lease_gained(self) -> None:
        if self._everything_is_read:
            self.store.enqueue_all()

    def _lease_lost(self) -> None:
        self.scheduler.clear()
        # Another process leads now: what this one did last says nothing about what is live when it leads again.
        self._unreported.clear()
        self._settled.clear()
        self._reported_facts = None
        self.cluster_reporter.clear()

    def _refresh_facts(self) -> None:
        """Once for a burst of events: works the facts out again, which enqueues the namespaces that they affect."""
        if not self.lease.leading:
            return
        try:
            facts = self.store.cluster_facts()
        except Exception:
            # A mistake of ours about one object must not end the process: what is live stays in force.
            log.exception("the facts of the cluster cannot be worked out")
            asyncio.get_running_loop().call_later(FACTS_RETRY_SECONDS, self.scheduler.wake.set)
            return
        # Compared with what was reported, because a pass may have been the first to ask for the new facts.
        if facts is not self._reported_facts:
            self._reported_facts = facts
            self._enqueue_cluster_report()

    def _enqueue_cluster_report(self) -> None:
        self.scheduler.reports.enqueue((CLUSTER,))

    async def reconcile(self, namespace: str) -> PassResult:
        """One pass over a namespace: resolve, plan, apply. Its report follows when no NetworkPolicies are due."""
        started = time.perf_counter()
        live_namespace = self.store.snapshot.namespaces.get(namespace)
        if live_namespace is None or live_namespace.deleting:
            self._forget(namespace)
            return DONE
        resolution = resolve(self.store.snapshot, self.store.cluster_facts(), namespace, self._cache)
        pods = self.store.snapshot.pods.get(namespace, {}).values()
        plan = make_plan(resolution, self.store.policies.in_namespace(namespace), pods)
        # The last complete pass wrote the same: if anything differs now, others changed it.
        drifted = self._settled.get(namespace) == resolution.policies
        result = await apply(plan, self.store, self.writer)
        if result.complete:
            self._settled[namespace] = resolution.policies
        if drifted and result.writes:
            self._report_drift(namespace, [change.name for change in plan.writes])
        reconciliation = Reconciliation(resolution, plan, result)
        self._unreported[namespace] = reconciliation
        self.scheduler.reports.enqueue((namespace,))
        self._count_and_log(reconciliation, time.perf_counter() - started)
        return result.pass_result

    async def report(self, namespace: str) -> PassResult:
        """Writes the Exposures and statuses of a namespace's last pass; for CLUSTER, those of cluster policies."""
        if namespace == CLUSTER:
            queues = (self.scheduler.policies, self.scheduler.reports)
            if any(queue.has(name) for name in self.cluster_reporter.unknown() for queue in queues):
                # After a start. When such a namespace has its own report, it asks for this one again.
                return DONE
            return self._reported(namespace, await self.cluster_reporter.report())
        reconciliation = self._unreported.get(namespace)
        if reconciliation is None or reconciliation.result.terminating:
            return DONE
        result = await self.reporter.report(reconciliation)
        if self._unreported.get(namespace) is reconciliation and not result.failures:
            del self._unreported[namespace]
        if self.cluster_reporter.record(namespace, reconciliation):
            self._enqueue_cluster_report()
        return self._reported(namespace, result)

    def _reported(self, namespace: str, result: ReportResult) -> PassResult:
        if result.failures and self.lease.leading:
            log.warning("not everything is reported", extra=fields(namespace=namespace, failures=result.failures[:5]))
        return result.pass_result

    def _forget(self, namespace: str) -> None:
        self._unreported.pop(namespace, None)
        self._settled.pop(namespace, None)
        self._cache.forget(namespace)
        self.reporter.forget(namespace)
        if self.cluster_reporter.forget(namespace):
            self._enqueue_cluster_report()

    def _report_drift(self, namespace: str, names: list[str]) -> None:
        self.metrics.drift.inc(len(names))
        for name in names:
            policy = ObjectReference("networking.k8s.io/v1", "NetworkPolicy", namespace, name)
            note = "Another client changed this NetworkPolicy. The operator has put it back."
            self.events.post(policy, "DriftPutBack", note, warning=True)

    def _count_and_log(self, reconciliation: Reconciliation, seconds: float) -> None:
        result = reconciliation.result
        self.metrics.reconcile_seconds.observe(seconds)
        self.metrics.reconciles.labels("failed" if result.failures else "ok").inc()
        level = logging.DEBUG
        if result.failures:
            level = logging.ERROR
        elif result.writes or result.name_conflicts:
            level = logging.INFO
        if not log.isEnabledFor(level):
            return
        values = fields(
            namespace=reconciliation.plan.namespace,
            created=result.created,
            updated=result.updated,
            deleted=result.deleted,
            kept=result.kept,
            exposures=len(reconciliation.resolution.exposures),
            seconds=round(seconds, 4),
            **({"nameConflicts": list(result.name_conflicts)} if result.name_conflicts else {}),
            **({"failures": result.failures[:5]} if result.failures else {}),
        )
        log.log(level, "reconciled", extra=values)
