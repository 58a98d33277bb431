"""The outcome of each policy in a namespace: accepted or not, its mode, and what it does for each Service."""

from collections.abc import Iterator, Mapping

from exposure.model.exposures import PolicyOutcome, ServiceOutcome
from exposure.resolve.effective_policies import EffectivePolicy
from exposure.resolve.governed import GovernedService
from exposure.resolve.inputs import NamespaceInputs


def policy_outcomes(
    inputs: NamespaceInputs, governed: Mapping[str, GovernedService], note: str
) -> tuple[PolicyOutcome, ...]:
    """`note`: a sentence that every policy of the namespace reports."""
    return tuple(
        PolicyOutcome(
            policy=policy.ref,
            generation=policy.generation,
            verdict=policy.verdict,
            mode=inputs.mode_of(policy),
            services=tuple(sorted(_services(inputs, governed, policy), key=lambda outcome: outcome.name)),
            uid=policy.uid,
            note=note,
        )
        for policy in inputs.policies
    )


def _services(
    inputs: NamespaceInputs, governed: Mapping[str, GovernedService], policy: EffectivePolicy
) -> Iterator[ServiceOutcome]:
    for name, (winner, *overruled) in inputs.governing.items():
        if winner.ref == policy.ref:
            yield ServiceOutcome(name, _summary(governed[name]))
        elif any(loser.ref == policy.ref for loser in overruled):
            yield ServiceOutcome(name, f"Governed by {winner.ref.kind} {winner.ref} instead.", governed=False)


def _summary(governed: GovernedService) -> str:
    """`Opens 2 ports to Clients, HealthChecks.`, and why an entry point stays closed."""
    refusals = governed.refusals()
    if refusals and not governed.sources:
        return refusals
    count = len(governed.open_ports)
    kinds = ", ".join(dict.fromkeys(source.kind for source in governed.sources))
    return f"Opens {count} {'port' if count == 1 else 'ports'} to {kinds or 'no source'}. {refusals}".strip()
