"""Why a connection came otherwise than it must: the cause, named, with its cure. Pure.

Asked in this order: is anybody there; do the live policies say what was planned; is it the policies at all; and if not,
where on the way it stops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from exposure.model.exposures import SourceKind
from exposure.model.plans import Change
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import is_ours
from exposure.verify.context import VerificationContext, names
from exposure.verify.expectation import Arrival, admitted, arrivals, decision, pod_of
from exposure.verify.values import Check, Expected, Finding, Outcome, Seen, Target, Vantage

OPERATOR = "look at the operator's log and at the ExposurePolicy's status; it puts such a difference back in a second"


@dataclass(frozen=True, slots=True)
class Around:
    """What else was seen: `node_ports` by address, when the same Service was called by its node port instead.

    `denials_held` says that somewhere in this run somebody was kept out who should be.
    """

    node_ports: Mapping[str, Outcome] = field(default_factory=dict)
    denials_held: bool = False


def judged(target: Target, vantage: Vantage, expected: Expected, seen: Seen) -> Check:
    """The check, not yet diagnosed."""
    if "untried" in seen.outcomes:
        note = f"{target.protocol} cannot be tried" if target.protocol == "SCTP" else "the name cannot be resolved here"
        return Check(target.exposure, vantage, target, expected, "not judged", seen, notes=(note,))
    if target.protocol == "UDP" and not seen.passed:
        note = "over UDP no answer proves nothing: only a Service that answers an empty datagram can be judged"
        return Check(target.exposure, vantage, target, expected, "not judged", seen, notes=(note,))
    match expected.verdict:
        case "unsure":
            return Check(target.exposure, vantage, target, expected, "not judged", seen)
        case "allowed":
            right = seen.passed == len(seen.outcomes) or (target.protocol == "UDP" and seen.passed > 0)
        case _:
            right = seen.passed == 0
    return Check(target.exposure, vantage, target, expected, "as expected" if right else "mismatch", seen)


def diagnosed(context: VerificationContext, check: Check, around: Around) -> Check:
    """A mismatch with its cause; any other check as it is."""
    if check.result != "mismatch" or check.target is None or check.vantage is None or check.seen is None:
        return check
    found = list(arrivals(context, check.target, check.vantage))
    if check.expected.verdict == "denied":
        finding = _let_in(context, check.target, found, around)
    else:
        finding = _kept_out(context, check.target, found, check.seen, around)
    return replace(check, finding=finding)


def _let_in(context: VerificationContext, target: Target, found: Sequence[Arrival], around: Around) -> Finding:
    """Denied, and it passed."""
    live = context.live(target.namespace)
    if not found:
        return Finding("NotHeld", "It got in though loadBalancerSourceRanges leave it out.", "")
    says = [decision(live, arrival, target) for arrival in found]
    if not any(say.allowed for say in says):
        if around.denials_held:
            return Finding(
                "NotEnforced",
                f"Every live NetworkPolicy keeps it out ({names(says[0].isolating)}), and it got in, though elsewhere "
                "policies do hold: these pods or their node are not enforced.",
                "look at the CNI's agent on the pods' nodes",
            )
        return Finding(
            "NotEnforced",
            f"Every live NetworkPolicy keeps it out ({names(says[0].isolating)}), and it got in: this cluster's CNI "
            "does not enforce NetworkPolicies (PolicyNotEnforced).",
            "install or switch on a CNI that enforces NetworkPolicies",
        )
    foreign = {policy.name: policy for say in says for policy, _ in say.allowing if not is_ours(policy)}
    if foreign:
        return Finding(
            "AdditivePolicy",
            f"Another NetworkPolicy admits what ours closes: {names(foreign.values())}. Policies only add up.",
            "narrow or delete that policy, or say in the ExposurePolicy's peers or clients that it is meant",
        )
    isolating = [each for say in says for each in say.isolating]
    if not isolating:
        missing = _missing(context, target, found)
        return Finding(
            "PolicyMissing", f"No NetworkPolicy isolates these pods: {missing} is planned and does not stand.", OPERATOR
        )
    admitting = {policy.name: policy for say in says for policy, _ in say.allowing}
    return Finding(
        "PolicyDiffers", f"A live policy admits more than was planned: {names(admitting.values())}.", OPERATOR
    )


def _kept_out(
    context: VerificationContext, target: Target, found: Sequence[Arrival], seen: Seen, around: Around
) -> Finding:
    """Allowed, and it did not pass, or not every time."""
    ready = [each for each in target.backends if each.address]
    if not ready:
        return Finding(
            "NoReadyBackend",
            f"Service {target.namespace}/{target.service} has no ready pod behind port {target.service_port}.",
            "look at the pods and their readiness probes",
        )
    live = context.live(target.namespace)
    refused = [each for each in found if not admitted(live, each, target)]
    if refused:
        return _by_policy(context, target, live, found, refused)
    if seen.passed:
        return Finding(
            "SomeBackendsFail",
            f"{seen.passed} of {len(seen.outcomes)} connections stood, and every policy lets all of them in: some pods "
            "do not listen on their target port, or one node does not let through what it should.",
            "compare the pods behind the Service one by one",
        )
    if target.entry_point in ("LoadBalancer", "ExternalIP") and around.node_ports:
        return _on_the_way(target, seen, around)
    if set(seen.outcomes) <= {"refused"}:
        return _not_listening(target)
    return Finding(
        "Unreachable",
        f"Nothing comes back from {target.place}, though every policy lets it in: a firewall, a missing route, or a "
        "CNI that has not taken up the policies.",
        "follow the packets: from the client, on the node, in the pod",
    )


def _by_policy(
    context: VerificationContext,
    target: Target,
    live: tuple[NetworkPolicy, ...],
    found: Sequence[Arrival],
    refused: Sequence[Arrival],
) -> Finding:
    """A live policy refuses what should be let in."""
    walls = decision(live, refused[0], target).isolating
    if target.service_port and all(admitted(live, each, target, target.service_port) for each in refused):
        return Finding(
            "ServicePortInPolicy",
            f"The policy opens the Service port {target.service_port}, but the pods listen on "
            f"{refused[0].backend.port}: policies see the target port ({names(walls)}).",
            OPERATOR,
        )
    if {each.kind for each in refused} == {SourceKind.NODES} and len(refused) < len(found):
        lost = ", ".join(sorted({each.address for each in refused}))
        return Finding(
            "NodeAddressesMissing",
            f"N is missing: the client itself is let in, the nodes' addresses are not ({lost}). With "
            "externalTrafficPolicy Cluster a connection that reaches a pod on another node arrives from a node's "
            f"address, and is refused there ({names(walls)}).",
            OPERATOR,
        )
    missing = _missing(context, target, found)
    return Finding(
        "PolicyDiffers",
        f"The live policies keep out what was planned to come in ({names(walls)}); planned: {missing}.",
        OPERATOR,
    )


def _on_the_way(target: Target, seen: Seen, around: Around) -> Finding:
    """The load balancer's address fails: what do the nodes say, past it?"""
    answers = set(around.node_ports.values())
    nodes = ", ".join(sorted(around.node_ports))
    if "open" in answers:
        return Finding(
            "LoadBalancerNotAnswering",
            f"{target.place} does not answer ({seen}), while the node port {target.node_port} does ({nodes}): the load "
            "balancer does not announce or forward, or a firewall stands between here and its address.",
            "look at the load balancer's own status, its listeners, health checks and firewall rules",
        )
    if answers == {"refused"} and set(seen.outcomes) == {"refused"}:
        return _not_listening(target)
    if answers == {"refused"}:
        return Finding(
            "NodesDoNotForward",
            f"{target.place} does not answer ({seen}), and every node refuses the node port {target.node_port} "
            f"({nodes}) though pods are ready: kube-proxy, or what stands in its place, does not program Services.",
            "look at kube-proxy on the nodes",
        )
    return Finding(
        "Unreachable",
        f"Neither {target.place} ({seen}) nor the node port {target.node_port} of any node ({nodes}) answers, though "
        "every policy lets it in: a firewall or a missing route between here and the nodes.",
        "compare with a client on the nodes' own network, and with the firewall's log",
    )


def _not_listening(target: Target) -> Finding:
    numbers = ", ".join(sorted({str(each.port) for each in target.backends}))
    return Finding(
        "TargetPortClosed",
        f"{target.place} is refused, though pods are ready and every policy lets it in: nothing listens on the pods' "
        f"target port {numbers}.",
        "compare the Service's targetPort with what the container listens on",
    )


def _missing(context: VerificationContext, target: Target, found: Sequence[Arrival]) -> str:
    planned = context.intended(pod_of(found[0].backend, target))
    live = {each.name: each.spec for each in context.live(target.namespace)}
    return names(each for each in planned if live.get(each.name) != each.spec) or "a policy of ours"


def drift(context: VerificationContext, namespace: str) -> Check | None:
    """A check that fails where a namespace's live policies are not the planned ones; None: nothing is planned."""
    if not context.resolutions[namespace].policies and not context.differences(namespace):
        return None
    expected = Expected("allowed", "the live NetworkPolicies are those that are planned")
    # Labels and annotations decide about no connection.
    changes = [each for each in context.differences(namespace) if not each.interim]
    writes = [each for each in changes if each.verb != "update" or _says_else(each)]
    name = f"{namespace}/(policies)"
    if not writes:
        return Check(name, None, None, expected, "as expected")
    said = ", ".join(dict.fromkeys(f"{_ABSENT[each.verb]} {namespace}/{each.name}" for each in writes))
    return Check(name, None, None, expected, "mismatch", finding=Finding("PolicyDiffers", f"{said}.", OPERATOR))


def _says_else(change: Change) -> bool:
    return change.live is not None and change.live.spec != change.policy.spec


_ABSENT = {"create": "missing:", "update": "other than planned:", "delete": "should be gone:", "keep": "kept:"}
