"""A plan as text: one line for each change, in a stable form, for tests, Audit mode and the command line."""

from exposure.model.plans import Change, Plan
from exposure.networkpolicy.text import policy_text

NAME_CONFLICT = "name conflict: the operator did not write this policy; rename or delete it"


def plan_text(plan: Plan) -> str:
    """One line for each change, in order; keeps come first. "" if there is nothing to write or keep."""
    rows = [(f"{change.verb:<6} {plan.namespace}/{change.name}", tail(change)) for change in plan.changes]
    rows += [(f"skip   {plan.namespace}/{name}", NAME_CONFLICT) for name in plan.name_conflicts]
    width = max((len(head) for head, _ in rows), default=0)
    return "".join(f"{head:<{width}}  {text}".rstrip() + "\n" for head, text in rows)


def tail(change: Change) -> str:
    if change.verb in ("delete", "keep"):
        return change.reason
    meaning = policy_text(change.policy)
    return f"{meaning} ({change.reason})" if change.reason else meaning
