"""What the operator says about itself, on a registry of its own."""

import time
from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Metrics:
    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry(auto_describe=True)
        self.events: Tally[str] = Tally()
        registry.register(_Events(self.events))
        self.reconciles = Counter("exposure_reconciles_total", "Namespaces reconciled", ["result"], registry=registry)
        self.reconcile_seconds = Histogram(
            "exposure_reconcile_seconds",
            "From taking a namespace off the queue until its policies are written",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.writes = Counter(
            "exposure_writes_total", "Requests that write", ["resource", "verb", "result"], registry=registry
        )
        self.watch_restarts = Counter(
            "exposure_watch_restarts_total", "Watches that ended and went on", ["resource"], registry=registry
        )
        self.relists = Counter(
            "exposure_relists_total",
            "Kinds listed anew",
            ["resource", "reason"],
            registry=registry,
        )
        self.objects = Gauge("exposure_objects", "Objects known", ["resource"], registry=registry)
        self.list_seconds = Gauge("exposure_list_seconds", "Duration of the last list", ["resource"], registry=registry)
        self.last_sync = Gauge(
            "exposure_last_sync_timestamp_seconds",
            "When last listed whole",
            ["resource"],
            registry=registry,
        )
        self.queue_depth = Gauge("exposure_queue_depth", "Namespaces waiting", ["stage"], registry=registry)
        self.leader = Gauge("exposure_leader", "1 while this process may write", registry=registry)
        self.exposures = Gauge("exposure_exposures", "Entry points of the cluster", registry=registry)
        self.blind_spots = Gauge(
            "exposure_blind_spots", "Exposures with this blind spot", ["reason"], registry=registry
        )
        # Neither 0 nor 1 until the canary has proven something; for ever, where it is switched off.
        self.canary_enforced = Gauge(
            "exposure_canary_enforced", "1 policies are enforced, 0 they are not, NaN unproven", registry=registry
        )
        self.canary_enforced.set(float("nan"))
        self.canary_last_run = Gauge(
            "exposure_canary_last_run_timestamp_seconds", "When the canary last came to an end", registry=registry
        )
        self.drift = Counter("exposure_drift_total", "NetworkPolicies that were put back", registry=registry)

    def listed(self, resource: str, count: int, seconds: float) -> None:
        self.objects.labels(resource).set(count)
        self.list_seconds.labels(resource).set(seconds)
        self.last_sync.labels(resource).set(time.time())


class _Events(Collector):
    """Counted in a plain dict on the hot path, and only turned into samples when somebody asks."""

    def __init__(self, tally: Tally[str]) -> None:
        self._tally = tally

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("exposure_watch_events", "Watch events taken in", labels=["resource"])
        for resource, count in sorted(self._tally.items()):
            family.add_metric([resource], count)
        yield family
