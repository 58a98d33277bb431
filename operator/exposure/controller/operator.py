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
from collections import Counter
from collections.abc import Iterable

from exposure.controller.apply import apply
from exposure.controller.canary import Canary
from exposure.controller.client import Client, connect
from exposure.controller.cluster_policies import ClusterReporter
from exposure.controller.discovery import Discovery
from exposure.controller.events import EventRecorder
from exposure.controller.intents import Intents
from exposure.controller.kopf_thread import run_kopf
from exposure.controller.lease import Lease, NoLease
from exposure.controller.logs import fields
from exposure.controller.metrics import Metrics
from exposure.controller.probes import Probes
from exposure.controller.queue import PassResult, Scheduler
from exposure.controller.reflector import Reflector
from exposure.controller.status import Reconciliation, Reporter
from exposure.controller.store import INTENT, Store
from exposure.controller.writer import Writer
from exposure.model.config import Config
from exposure.model.plans import Change
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan.changes import make_plan
from exposure.plan.transition import INTERIM
from exposure.resolve import ResolveCache, resolve

#: Of the ten seconds that a stop may take: for writes under way.
STOP_WRITES_SECONDS = 5.5
FACTS_RETRY_SECONDS = 5.0
#: ClusterExposurePolicies are reported together, as one more entry of the queue. No namespace has an empty name.
CLUSTER = ""
log = logging.getLogger(__name__)


async def run(
    config: Config, kubeconfig: str | None, context: str | None, listen: tuple[str | None, int], leader_elect: bool
) -> None:
    """Runs the operator until SIGTERM or SIGINT.

    CannotStart where the options lead to no cluster or to no port. RuntimeError where a part of the operator fails.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Operator(config, await connect(kubeconfig, context), listen, leader_elect).run(stop)


class Operator:
    """All parts and what ties them together. It is made and used on one event loop.

    `listen`: address and port of the probes, None for every address.
    """

    def __init__(self, config: Config, client: Client, listen: tuple[str | None, int], leader_elect: bool) -> None:
        self.client = client
        self.metrics = Metrics()
        self.store = Store(config, self.enqueue)
        self.discovery = Discovery(client)
        tables = self.store.tables.values()
        self.reflectors = [Reflector(client, table, self.discovery, self.metrics) for table in tables]
        intents = [reflector for reflector in self.reflectors if reflector.kind.kind in INTENT]
        self.intents = Intents(intents, self.metrics)
        identity = os.environ.get("POD_NAME") or f"{platform.node()}-{uuid.uuid4().hex[:8]}"
        self.lease: Lease | NoLease = NoLease()
        if leader_elect:
            self.lease = Lease(client, config.operator_namespace, identity, self.store.enqueue_all, self._lease_lost)
        self.metrics.leader.set_function(lambda: float(self.lease.leading))
        self.writer = Writer(client, self.lease, self.metrics)
        self.events = EventRecorder(self.writer, identity)
        self.canary = Canary(
            client, self.writer, self.events, self.metrics, config, self._is_active, self.store.enqueue_all
        )
        self.reporter = Reporter(self.store, self.writer, self.events, self.metrics, lambda: self.canary.verified)
        self.scheduler = Scheduler(
            self.reconcile, self.report, lambda: self.writer.has_capacity, self._refresh_facts, self.metrics
        )
        self.cluster_reporter = ClusterReporter(
            self.store, self.reporter, lambda: self.scheduler.reports.enqueue((CLUSTER,))
        )
        self.probes = Probes(listen, self.missing, self.metrics)
        self._cache = ResolveCache()
        #: The last pass over each namespace that has not been reported in full.
        self._unreported: dict[str, Reconciliation] = {}
        #: The NetworkPolicies of the last complete pass. What differs from them under an equal plan is drift.
        self._settled: dict[str, tuple[NetworkPolicy, ...]] = {}

    def missing(self) -> list[str]:
        """The plurals of the kinds that were not read yet."""
        return [reflector.kind.plural for reflector in self.reflectors if not reflector.synced.is_set()]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. RuntimeError where a part ends that never should."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self.probes.start()
            parts = [
                self.discovery.run(),
                self.intents.run(),
                *(reflector.run() for reflector in self.reflectors if reflector.kind not in self.intents.kinds),
                run_kopf(self.client.configuration, self.intents),
                self._work(),
            ]
            if isinstance(self.lease, Lease):
                parts.append(self.lease.run())
            if self.store.snapshot.config.canary.enabled:
                parts.append(self.canary.run())
            gc.disable()  # Reading a cluster makes no garbage cycles, and every collection would look at all of it.
            tasks = [asyncio.create_task(part) for part in parts]
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for task in done - {stopping}:
                raise RuntimeError("a part of the operator ended unexpectedly") from task.exception()
        finally:
            # No new writes begin, and those under way are answered. Then the lease goes to a standby.
            self.store.begun = False
            await self.scheduler.stop(STOP_WRITES_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(self.lease, Lease):
                await self.lease.release()
            await self.probes.stop()
            await self.client.close()

    async def _work(self) -> None:
        started = time.monotonic()
        for reflector in self.reflectors:
            await reflector.synced.wait()
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(50_000, 20, 50)
        log.info("the cluster has been read", extra=fields(seconds=round(time.monotonic() - started, 3)))
        self.store.begun = True
        self.store.enqueue_all()
        await self.scheduler.run()

    def _is_active(self) -> bool:
        return self.lease.leading and self.store.begun

    def enqueue(self, namespaces: Iterable[str]) -> None:
        if self._is_active():
            self.scheduler.policies.enqueue(namespaces)

    def _lease_lost(self) -> None:
        self.scheduler.clear()
        # Another process leads now: what this one did last says nothing about what is live when it leads again.
        self._unreported.clear()
        self._settled.clear()
        self.cluster_reporter.clear()

    def _refresh_facts(self) -> None:
        """Once for a burst of events: works the facts out again, which enqueues the namespaces that they affect."""
        if not self._is_active():
            # What this process tried last is no longer its task. When it leads again, everything is enqueued.
            self.scheduler.clear()
            return
        try:
            self.cluster_reporter.refresh(self.store.cluster_facts())
        except Exception:
            # An internal error about one object must not end the process. What is live stays in force.
            log.exception("the cluster facts cannot be computed")
            asyncio.get_running_loop().call_later(FACTS_RETRY_SECONDS, self.scheduler.wake.set)

    async def reconcile(self, namespace: str) -> PassResult:
        """One pass over a namespace: resolve, plan, apply. Its report follows when no NetworkPolicies are due."""
        started = time.perf_counter()
        live_namespace = self.store.snapshot.namespaces.get(namespace)
        if live_namespace is None or live_namespace.deleting:
            self._forget(namespace)
            return PassResult()
        resolution = resolve(self.store.snapshot, self.store.cluster_facts(), namespace, self._cache)
        pods = self.store.snapshot.pods.get(namespace, {}).values()
        plan = make_plan(resolution, self.store.policies.in_namespace(namespace), pods)
        wants_the_same = self._settled.get(namespace) == resolution.policies
        result = await apply(plan, self.store, self.writer)
        if not self.lease.leading or resolution.paused or not (result.complete or wants_the_same):
            # What is live may be half of a plan, so what has to be written next is no drift.
            self._settled.pop(namespace, None)
        elif result.complete:
            self._settled[namespace] = resolution.policies
        if wants_the_same:
            # The last complete pass left what is wanted now. Whatever had to be written since, others had changed.
            self._report_drift(namespace, result.made)
        reconciliation = Reconciliation(resolution, plan, result)
        self._unreported[namespace] = reconciliation
        self.scheduler.reports.enqueue((namespace,))
        self._count_and_log(reconciliation, time.perf_counter() - started)
        return result

    async def report(self, namespace: str) -> PassResult:
        """Writes the Exposures and statuses of a namespace's last pass; for CLUSTER, those of cluster policies."""
        if namespace == CLUSTER:
            if any(map(self.scheduler.has, self.cluster_reporter.unknown())):
                # After a start, some namespaces have not been reported yet. Each of their reports enqueues this one.
                return PassResult()
            result = await self.cluster_reporter.report()
        else:
            reconciliation = self._unreported.get(namespace)
            if reconciliation is None or reconciliation.result.terminating:
                return PassResult()
            result = await self.reporter.report(reconciliation)
            if self._unreported.get(namespace) is reconciliation and not result.failures:
                del self._unreported[namespace]
            self.cluster_reporter.record(namespace, reconciliation)
        if result.failures and self.lease.leading:
            log.warning("reporting is incomplete", extra=fields(namespace=namespace, failures=result.failures[:5]))
        return result

    def _forget(self, namespace: str) -> None:
        self._unreported.pop(namespace, None)
        self._settled.pop(namespace, None)
        for part in (self._cache, self.reporter, self.cluster_reporter):
            part.forget(namespace)

    def _report_drift(self, namespace: str, made: Iterable[Change]) -> None:
        for name in dict.fromkeys(change.name for change in made if not change.name.startswith(INTERIM)):
            self.metrics.drift.inc()
            policy = {"kind": "NetworkPolicy", "namespace": namespace, "name": name}
            note = "Another client changed this NetworkPolicy. The operator reverted the change."
            self.events.post({"apiVersion": "networking.k8s.io/v1", **policy}, "DriftPutBack", note, warning=True)

    def _count_and_log(self, reconciliation: Reconciliation, seconds: float) -> None:
        result = reconciliation.result
        failed = bool(result.failures) and self.lease.leading
        self.metrics.reconcile_seconds.observe(seconds)
        self.metrics.reconciles.labels("failed" if failed else "ok").inc()
        made = Counter(change.verb for change in result.made)
        level = logging.INFO if made or result.name_conflicts else logging.DEBUG
        values = fields(
            namespace=reconciliation.plan.namespace,
            created=made["create"],
            updated=made["update"],
            deleted=made["delete"],
            kept=len(reconciliation.plan.changes) - len(reconciliation.plan.writes),
            exposures=len(reconciliation.resolution.exposures),
            seconds=round(seconds, 4),
            nameConflicts=list(result.name_conflicts),
            failures=result.failures[:5],
        )
        log.log(logging.ERROR if failed else level, "reconciled", extra=values)
