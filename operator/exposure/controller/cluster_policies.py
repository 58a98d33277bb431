"""The status of ClusterExposurePolicies, which speak in many namespaces at once."""

from collections.abc import Iterator

from exposure.controller.status import Report, Reporter, State
from exposure.controller.store import Store
from exposure.model.exposures import PolicyOutcome, PolicyRef, PolicyVerdict
from exposure.model.intent import ClusterExposurePolicy
from exposure.resolve.cluster_policies import cluster_policy_matches, with_accepted_meaning

#: In a message; the list in the status holds more, and the count all.
SHOWN = 3
LISTED = 100
KIND = "ClusterExposurePolicy"


class ClusterReporter:
    """Remembers of each namespace only what falls short there, and reports it with the policies that reach it."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._shortcomings: dict[str, str] = {}
        self._refused: dict[str, dict[str, PolicyVerdict]] = {}
        self._reported: set[str] = set()

    def take(self, namespace: str, state: State, shortcoming: str) -> bool:
        """Whether this namespace's part in the cluster-wide report has changed."""
        refused = {
            outcome.policy.name: outcome.verdict
            for outcome in state.resolution.outcomes
            if outcome.policy.kind == KIND and not outcome.verdict.accepted
        }
        before = (namespace in self._reported, self._shortcomings.get(namespace), self._refused.get(namespace))
        self.forget(namespace)
        self._reported.add(namespace)
        if shortcoming:
            self._shortcomings[namespace] = shortcoming
        if refused:
            self._refused[namespace] = refused
        after = (True, self._shortcomings.get(namespace), self._refused.get(namespace))
        return before != after and bool(self._store.snapshot.cluster_exposure_policies)

    def forget(self, namespace: str) -> bool:
        """Whether it was known, and there is somebody to tell that it is gone."""
        known = namespace in self._reported
        self._reported.discard(namespace)
        self._shortcomings.pop(namespace, None)
        self._refused.pop(namespace, None)
        return known and bool(self._store.snapshot.cluster_exposure_policies)

    async def report(self) -> Report:
        report = Report()
        for name, policy in sorted(self._store.snapshot.cluster_exposure_policies.items()):
            reached = sorted(self._reached(policy))
            short = [f"{namespace}: {why}" for namespace in reached if (why := self._shortcoming(namespace))]
            message = "; ".join(short[:SHOWN]) + (f"; and {len(short) - SHOWN} more" if len(short) > SHOWN else "")
            more = {"namespaceCount": len(reached), "namespaces": reached[:LISTED]}
            await self._reporter.write_policy_status(("", name), self._outcome(policy, reached), message, report, more)
        return report

    def _reached(self, policy: ClusterExposurePolicy) -> Iterator[str]:
        spec = with_accepted_meaning(policy).spec
        snapshot = self._store.snapshot
        return (
            name
            for name, each in snapshot.namespaces.items()
            if not each.deleting and cluster_policy_matches(spec, each, snapshot.config)
        )

    def _outcome(self, policy: ClusterExposurePolicy, reached: list[str]) -> PolicyOutcome:
        meaning = with_accepted_meaning(policy)
        verdict = meaning.verdict
        for namespace in reached:
            here = self._refused.get(namespace, {}).get(policy.name)
            if verdict.accepted and here is not None:
                verdict = PolicyVerdict(False, here.reason, f"In namespace {namespace}: {here.message}")
        mode = (meaning.spec.defaults.mode if meaning.spec else None) or "Enforce"
        return PolicyOutcome(PolicyRef(KIND, policy.name), policy.generation, verdict, mode, uid=policy.uid)

    def _shortcoming(self, namespace: str) -> str:
        if namespace not in self._reported:
            return "not looked at yet"
        return self._shortcomings.get(namespace, "")
