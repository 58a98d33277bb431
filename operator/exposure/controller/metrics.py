"""The operator's metrics, on a registry of their own. docs/reference/metrics.md is made from them."""

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        self.events: Tally[str] = Tally()
        self.registry.register(WatchEvents(self.events))
        self.reconciles = self._counter("reconciles_total", "Passes over a namespace; result: ok or failed", "result")
        self.reconcile_seconds = Histogram(
            "exposure_reconcile_seconds",
            "Time from the start of a pass over a namespace until its NetworkPolicies are written",
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.writes = self._counter(
            "writes_total", "Write requests; result: ok or the class of the error", "resource", "verb", "result"
        )
        self.watch_restarts = self._counter("watch_restarts_total", "Watches that ended and were resumed", "resource")
        self.relists = self._counter("relists_total", "Lists that had to be repeated", "resource", "reason")
        self.objects = self._gauge("objects", "Objects in the last list", "resource")
        self.list_seconds = self._gauge("list_seconds", "Duration of the last list", "resource")
        self.last_sync = self._gauge("last_sync_timestamp_seconds", "When the last list was complete", "resource")
        self.queue_depth = self._gauge("queue_depth", "Namespaces waiting for a pass", "stage")
        self.leader = self._gauge("leader", "1 while this process leads and may write, else 0")
        self.exposures = self._gauge("exposures", "Entry points of the cluster")
        self.blind_spots = self._gauge("blind_spots", "Exposures with this blind spot", "reason")
        # NaN until the canary has proven something, and for good where it is switched off.
        self.canary_enforced = self._gauge(
            "canary_enforced",
            "1 if the canary proved that policies are enforced, 0 if it proved the opposite, else NaN",
        )
        self.canary_enforced.set(float("nan"))
        self.canary_last_run = self._gauge("canary_last_run_timestamp_seconds", "When the canary's last round ended")
        self.drift = self._counter("drift_total", "NetworkPolicies that others changed and the operator reverted")

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"exposure_{name}", description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(f"exposure_{name}", description, labels, registry=self.registry)


class WatchEvents(Collector):
    """Counted in a plain dict on the hot path, and made into samples only when /metrics is read."""

    def __init__(self, tally: Tally[str]) -> None:
        self._tally = tally

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("exposure_watch_events", "Watch events received", labels=["resource"])
        for resource, count in sorted(self._tally.items()):
            family.add_metric([resource], count)
        yield family
