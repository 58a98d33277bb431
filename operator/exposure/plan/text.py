"""A plan that reads like a sentence: stable, one line a change, shared by tests, logs, Audit mode and the CLI."""

from collections.abc import Callable, Iterable

from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy, Peer, PolicyPort, Rule

SHOWN_PEERS = 4
NAME_CONFLICT = "name conflict: the operator did not write the NetworkPolicy of this name; rename or delete it"


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


def policy_text(policy: NetworkPolicy) -> str:
    """Who may reach which pods: `from 203.0.113.0/24 to app=web tcp/8443`."""
    subject = str(policy.spec.subject)
    parts: list[str] = []
    if policy.spec.ingress is not None:
        parts += _direction(policy.spec.ingress, f"from nobody to {subject}", lambda rule: _from(rule, subject))
    if policy.spec.egress is not None:
        parts += _direction(policy.spec.egress, f"from {subject} to nowhere", lambda rule: _to(rule, subject))
    return "; ".join(parts)


def _direction(rules: tuple[Rule, ...], nothing: str, say: Callable[[Rule], str]) -> list[str]:
    return [say(rule) for rule in rules] or [nothing]


def _from(rule: Rule, subject: str) -> str:
    return f"from {peers_text(rule.peers, 'everyone')} to {subject} {ports_text(rule.ports)}"


def _to(rule: Rule, subject: str) -> str:
    return f"from {subject} to {peers_text(rule.peers, 'everywhere')} {ports_text(rule.ports)}"


def peers_text(peers: tuple[Peer, ...] | None, everyone: str) -> str:
    if peers is None:
        return everyone
    return _few(map(str, peers))


def ports_text(ports: tuple[PolicyPort, ...] | None) -> str:
    return "every port" if ports is None else " ".join(map(str, ports))


def _few(texts: Iterable[str]) -> str:
    named = list(texts)
    more = f" and {len(named) - SHOWN_PEERS} more" if len(named) > SHOWN_PEERS else ""
    return ", ".join(named[:SHOWN_PEERS]) + more
