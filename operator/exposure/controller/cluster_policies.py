"""The status of ClusterExposurePolicies, which hold in many namespaces at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exposure.controller.status import Reconciliation, Reporter, ReportResult
from exposure.controller.store import Store
from exposure.model.exposures import PolicyOutcome, PolicyRef, PolicyVerdict
from exposure.model.intent import ClusterExposurePolicy
from exposure.model.snapshot import Snapshot
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
    """Keeps the part of every namespace, and reports all parts together."""

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._parts: dict[str, NamespacePart] = {}

    def record(self, namespace: str, reconciliation: Reconciliation) -> bool:
        """Whether the namespace's part has changed, so that the report has to be made again."""
        refusals = {
            outcome.policy.name: outcome.verdict
            for outcome in reconciliation.resolution.outcomes
            if outcome.policy.kind == KIND and not outcome.verdict.accepted
        }
        part = NamespacePart(self._reporter.why_not_programmed(reconciliation), refusals)
        before, self._parts[namespace] = self._parts.get(namespace), part
        return before != part

    def forget(self, namespace: str) -> bool:
        """Whether the namespace had a part, so that the report has to be made again."""
        return self._parts.pop(namespace, None) is not None

    def clear(self) -> None:
        self._parts.clear()

    def unknown(self) -> list[str]:
        """The namespaces whose part is not known yet and would be reported as not reconciled."""
        return [name for name in self._store.snapshot.namespaces if name not in self._parts]

    async def report(self) -> ReportResult:
        result = ReportResult()
        snapshot = self._store.snapshot
        for name, policy in sorted(snapshot.cluster_exposure_policies.items()):
            outcome = cluster_outcome(policy, selected_namespaces(policy, snapshot), self._parts)
            message = not_programmed_message(outcome.namespaces, self._parts)
            await self._reporter.write_policy_status(("", name), outcome, message, result)
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
