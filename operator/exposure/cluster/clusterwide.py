"""The status of ClusterExposurePolicies, which speak in many namespaces at once."""

from exposure.cluster.status import Report, Reporter, State
from exposure.cluster.store import Store
from exposure.resolve import cluster_outcomes

SHOWN = 3


class ClusterReporter:
    """Remembers of each namespace only what falls short there, and reports it with the policies that reach it."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._shortcomings: dict[str, str] = {}
        self._reported: set[str] = set()

    def take(self, namespace: str, state: State, shortcoming: str) -> bool:
        """Whether this namespace's part in the cluster-wide report has changed."""
        changed = namespace not in self._reported or self._shortcomings.get(namespace, "") != shortcoming
        self._reported.add(namespace)
        if shortcoming:
            self._shortcomings[namespace] = shortcoming
        else:
            self._shortcomings.pop(namespace, None)
        return changed and bool(self._store.world.cluster_exposure_policies)

    def forget(self, namespace: str) -> bool:
        self._shortcomings.pop(namespace, None)
        known = namespace in self._reported
        self._reported.discard(namespace)
        return known and bool(self._store.world.cluster_exposure_policies)

    async def report(self) -> Report:
        report = Report()
        for outcome in cluster_outcomes(self._store.world, self._store.survey()):
            short = [f"{ns}: {self._short(ns)}" for ns in outcome.namespaces if self._short(ns)]
            message = "; ".join(short[:SHOWN]) + (f"; and {len(short) - SHOWN} more" if len(short) > SHOWN else "")
            await self._reporter.write_policy_status(("", outcome.policy.name), outcome, message, report)
        return report

    def _short(self, namespace: str) -> str:
        if namespace not in self._reported:
            return "not looked at yet"
        return self._shortcomings.get(namespace, "")
