"""A plan that reads like a sentence: stable, one line a change, shared by tests, logs, Audit mode and the CLI."""

from exposure.model.plans import Change, Plan
from exposure.networkpolicy.text import policy_text

NAME_CONFLICT = "name conflict: the operator did not write this policy; rename or delete it"


def plan_text(plan: Plan) -> str:
    """One line a change, in the order in which they are made; keeps first. "" where there is nothing of ours."""
    rows = [(f"{change.verb:<6} {plan.namespace}/{change.name}", tail(change)) for change in plan.changes]
    rows += [(f"skip   {plan.namespace}/{name}", NAME_CONFLICT) for name in plan.name_conflicts]
    width = max((len(head) for head, _ in rows), default=0)
    return "".join(f"{head:<{width}}  {text}".rstrip() + "\n" for head, text in rows)


def tail(change: Change) -> str:
    if change.verb in ("delete", "keep"):
        return change.reason
    meaning = policy_text(change.policy)
    return f"{meaning} ({change.reason})" if change.reason else meaning
