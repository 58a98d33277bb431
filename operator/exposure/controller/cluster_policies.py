"""The status of ClusterExposurePolicies, which hold in many namespaces at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from exposure.controller.queue import PassResult
from exposure.controller.status import Reconciliation, Reporter
from exposure.controller.store import Store
from exposure.model.exposures import PolicyOutcome, PolicyRef, PolicyVerdict
from exposure.model.intent import ClusterExposurePolicy
from exposure.model.snapshot import Snapshot
from exposure.resolve import ClusterFacts
from exposure.resolve.cluster_policies import cluster_policy_matches, with_accepted_meaning

KIND = "ClusterExposurePolicy"
#: How many namespaces a message names. The status lists more, and counts all.
NAMED = 3
NOT_RECONCILED = "not reconciled yet"


@dataclass(frozen=True, slots=True)
class NamespacePart:
    """What one namespace contributes to the status of the policies that select it.

    `not_programmed`: why its NetworkPolicies do not equal the plan, "" where they do. `refusals`: the verdicts of the
    policies that are not accepted there, by name.
    """

    not_programmed: str = ""
    refusals: Mapping[str, PolicyVerdict] = field(default_factory=dict)


class ClusterReporter:
    """Keeps the part of every namespace, and reports all parts together. `enqueue` is called when a report is due."""

    def __init__(self, store: Store, reporter: Reporter, enqueue: Callable[[], None]) -> None:
        self._store = store
        self._reporter = reporter
        self._enqueue = enqueue
        self._parts: dict[str, NamespacePart] = {}
        self._facts: ClusterFacts | None = None

    def refresh(self, facts: ClusterFacts) -> None:
        """Compares the facts with what was reported, because a pass may have been the first to ask for new ones."""
        if facts is not self._facts:
            self._facts = facts
            self._enqueue()

    def record(self, namespace: str, reconciliation: Reconciliation) -> None:
        refusals = {
            outcome.policy.name: outcome.verdict
            for outcome in reconciliation.resolution.outcomes
            if outcome.policy.kind == KIND and not outcome.verdict.accepted
        }
        part = NamespacePart(self._reporter.why_not_programmed(reconciliation), refusals)
        if part != self._parts.get(namespace):
            self._parts[namespace] = part
            self._enqueue()

    def forget(self, namespace: str) -> None:
        if self._parts.pop(namespace, None) is not None:
            self._enqueue()

    def clear(self) -> None:
        self._parts.clear()
        self._facts = None

    def unknown(self) -> set[str]:
        """The namespaces whose part is not known yet and would be reported as not reconciled."""
        return self._store.snapshot.namespaces.keys() - self._parts.keys()

    async def report(self) -> PassResult:
        result = PassResult()
        snapshot = self._store.snapshot
        for _, policy in sorted(snapshot.cluster_exposure_policies.items()):
            outcome = cluster_outcome(policy, selected_namespaces(policy, snapshot), self._parts)
            message = not_programmed_message(outcome.namespaces, self._parts)
            await self._reporter.write_policy_status("", outcome, message, result)
        return result


def selected_namespaces(policy: ClusterExposurePolicy, snapshot: Snapshot) -> tuple[str, ...]:
    spec = with_accepted_meaning(policy).spec
    return tuple(
        name
        for name, namespace in sorted(snapshot.namespaces.items())
        if not namespace.deleting and cluster_policy_matches(spec, namespace, snapshot.config)
    )


def cluster_outcome(
    policy: ClusterExposurePolicy, namespaces: tuple[str, ...], parts: Mapping[str, NamespacePart]
) -> PolicyOutcome:
    """The policy is accepted where its spec is valid and no namespace that it selects refuses it."""
    meaning = with_accepted_meaning(policy)
    verdict = meaning.verdict
    for namespace in namespaces:
        refusal = parts[namespace].refusals.get(policy.name) if namespace in parts else None
        if verdict.accepted and refusal is not None:
            verdict = PolicyVerdict(False, refusal.reason, f"In namespace {namespace}: {refusal.message}")
    mode = (meaning.spec.defaults.mode if meaning.spec else None) or "Enforce"
    ref = PolicyRef(KIND, policy.name)
    return PolicyOutcome(ref, policy.generation, verdict, mode, uid=policy.uid, namespaces=namespaces)


def not_programmed_message(namespaces: Iterable[str], parts: Mapping[str, NamespacePart]) -> str:
    """Why the policy is not programmed everywhere. "" where it is."""
    unknown = NamespacePart(NOT_RECONCILED)
    reasons = [
        f"{namespace}: {reason}" for namespace in namespaces if (reason := parts.get(namespace, unknown).not_programmed)
    ]
    rest = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    return "; ".join(reasons[:NAMED]) + rest
