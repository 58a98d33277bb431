"""Why the result of a connection was not expected: the cause, with its cure. Pure.

The questions, in this order: is a pod ready; do the live policies decide as planned; are the policies the reason; and
if not, where the connection stops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exposure.model.exposures import SourceKind
from exposure.model.plans import Change
from exposure.verify.context import VerificationContext, names
from exposure.verify.expectation import Connection, PossibleArrival
from exposure.verify.values import Cause, Check, Expected, Outcome, ProbeOutcome, Target, Vantage

OPERATOR = (
    "Check the operator's log and the ExposurePolicy's status. The operator writes missing policies within a second."
)
#: Every cause. Its message has fields for the case. Many targets may share one, so few messages name a target.
NOT_HELD = Cause(
    "NotHeld",
    "A connection was established, although the Service's loadBalancerSourceRanges exclude the client.",
    "Check kube-proxy on the nodes, or its replacement. It enforces loadBalancerSourceRanges.",
)
NOT_ENFORCED = Cause(
    "NotEnforced",
    "A connection was established, although the live NetworkPolicies deny it ({policies}). The CNI of this cluster "
    "does not enforce NetworkPolicies (PolicyNotEnforced).",
    "Install a CNI that enforces NetworkPolicies, or enable enforcement.",
)
NOT_ENFORCED_HERE = Cause(
    "NotEnforced",
    "A connection was established, although the live NetworkPolicies deny it ({policies}). Policies of other pods are "
    "enforced, so the CNI fails on the nodes of these pods.",
    "Check the CNI's agent on the nodes of these pods.",
)
ADDITIVE_POLICY = Cause(
    "AdditivePolicy",
    "NetworkPolicies that the operator did not write admit more than its own: {policies}. Policies are additive.",
    "Narrow or delete them, or list these callers in peers or clients of the ExposurePolicy.",
)
POLICY_MISSING = Cause(
    "PolicyMissing", "No NetworkPolicy isolates these pods: {planned} is planned, but not live.", OPERATOR
)
ADMITS_MORE = Cause("PolicyDiffers", "Live NetworkPolicies admit more than planned: {policies}.", OPERATOR)
ADMITS_LESS = Cause(
    "PolicyDiffers",
    "Live NetworkPolicies deny what the plan admits: {policies}. Planned: {planned}.",
    OPERATOR,
)
NOT_AS_PLANNED = Cause(
    "PolicyDiffers", "The live NetworkPolicies of namespace {namespace} do not match the plan: {differences}.", OPERATOR
)
SERVICE_PORT_IN_POLICY = Cause(
    "ServicePortInPolicy",
    "The NetworkPolicies admit the Service port {service_port}, but the pods listen on {target_port}. They must admit "
    "the target port ({policies}).",
    OPERATOR,
)
NODE_ADDRESSES_MISSING = Cause(
    "NodeAddressesMissing",
    "The NetworkPolicies admit the client, but not the nodes' addresses ({addresses}). With externalTrafficPolicy: "
    "Cluster, a connection through another node arrives with that node's address ({policies}).",
    OPERATOR,
)
NO_READY_BACKEND = Cause(
    "NoReadyBackend",
    "Service {service} has no ready pod behind port {port}.",
    "Check the pods and their readiness probes.",
)
SOME_BACKENDS_FAIL = Cause(
    "SomeBackendsFail",
    "{passed} of {count} connections were established, although the live NetworkPolicies admit all. Some pods do not "
    "listen on their target port, or a node does not forward.",
    "Compare the pods behind the Service one by one.",
)
TARGET_PORT_CLOSED = Cause(
    "TargetPortClosed",
    "{place} refuses connections, although pods are ready and the live NetworkPolicies admit them. Nothing listens on "
    "the target port {ports}.",
    "Compare targetPort of the Service with the port that the container listens on.",
)
LOAD_BALANCER_NOT_ANSWERING = Cause(
    "LoadBalancerNotAnswering",
    "{place} does not answer ({observed}), but node port {node_port} does ({nodes}). The load balancer does not "
    "announce its address or does not forward, or a firewall blocks it.",
    "Check the load balancer's status, listeners, health checks and firewall rules.",
)
NODES_DO_NOT_FORWARD = Cause(
    "NodesDoNotForward",
    "{place} does not answer ({observed}), and every node refuses node port {node_port} ({nodes}), although pods are "
    "ready. kube-proxy, or its replacement, does not serve this Service.",
    "Check kube-proxy on the nodes.",
)
NODES_UNREACHABLE = Cause(
    "Unreachable",
    "Neither {place} ({observed}) nor node port {node_port} of a node ({nodes}) answers, although the live "
    "NetworkPolicies admit the connection. A firewall blocks it, or there is no route from here to the nodes.",
    "Try a client on the network of the nodes, and check the firewall's log.",
)
UNREACHABLE = Cause(
    "Unreachable",
    "{place} does not answer, although the live NetworkPolicies admit the connection. Possible reasons: a firewall, a "
    "missing route, or a CNI that has not applied the policies.",
    "Capture packets at the client, on the node and in the pod.",
)
#: Why a check is not judged.
SCTP_NOT_TRIED = "verify cannot connect over SCTP."
NAME_NOT_RESOLVED = "The host name of the entry point cannot be resolved from here."
SILENCE_OVER_UDP = "Over UDP, no answer proves nothing. Only a Service that answers an empty datagram can be judged."

DIFFERENCES = {"create": "{name} is missing", "update": "{name} differs", "delete": "{name} is not planned"}


def judged(target: Target, vantage: Vantage, expected: Expected, observed: ProbeOutcome) -> Check:
    """The check, not yet diagnosed."""
    check = Check(target.exposure, vantage, target, expected, "not judged", observed)
    if "untried" in observed.outcomes:
        return replace(check, notes=(SCTP_NOT_TRIED if target.protocol == "SCTP" else NAME_NOT_RESOLVED,))
    if target.protocol == "UDP" and not observed.passed:
        return replace(check, notes=(SILENCE_OVER_UDP,))
    match expected.verdict:
        case "unsure":
            return check
        case "allowed":
            right = observed.passed == len(observed.outcomes) or target.protocol == "UDP"
        case "denied":
            right = observed.passed == 0
    return replace(check, result="as expected" if right else "mismatch")


def diagnosed(
    context: VerificationContext, check: Check, node_ports: Mapping[str, Outcome], denials_held: bool
) -> Check:
    """The check with the cause of its mismatch, if it is one.

    `node_ports`: the outcome at the Service's node port, by the address of the node, as far as it was tried.
    `denials_held`: another connection of this run was denied, as expected.
    """
    if check.result != "mismatch" or check.target is None or check.vantage is None or check.observed is None:
        return check
    possible = list(Connection(context, check.target, check.vantage).arrivals())
    if check.expected.verdict == "denied":
        cause = _admitted_unexpectedly(context, check.target, possible, denials_held)
    else:
        cause = _denied_unexpectedly(context, check.target, possible, check.observed, node_ports)
    return replace(check, cause=cause)


def _admitted_unexpectedly(
    context: VerificationContext, target: Target, possible: Sequence[PossibleArrival], denials_held: bool
) -> Cause:
    if not possible or any(arrival.is_intended(context) for arrival in possible):
        return NOT_HELD  # The policies admit it too: loadBalancerSourceRanges should have denied it before.
    decisions = [arrival.decision(context.live(target.service.namespace)) for arrival in possible]
    if not any(decision.allowed for decision in decisions):
        cause = NOT_ENFORCED_HERE if denials_held else NOT_ENFORCED
        return _filled(cause, policies=names(decisions[0].isolating))
    allowing = {policy.name: policy for decision in decisions for policy, _ in decision.allowing}
    foreign = [policy for policy in allowing.values() if not policy.is_ours]
    if foreign:
        return _filled(ADDITIVE_POLICY, policies=names(foreign))
    if not any(decision.isolating for decision in decisions):
        return _filled(POLICY_MISSING, planned=_planned(context, possible))
    return _filled(ADMITS_MORE, policies=names(allowing.values()))


def _denied_unexpectedly(
    context: VerificationContext,
    target: Target,
    possible: Sequence[PossibleArrival],
    observed: ProbeOutcome,
    node_ports: Mapping[str, Outcome],
) -> Cause:
    """No connection was established, or not every one."""
    if not any(backend.address for backend in target.backends):
        return _filled(NO_READY_BACKEND, service=target.service.ref, port=target.service_port.port)
    live = context.live(target.service.namespace)
    denied = [arrival for arrival in possible if not arrival.is_admitted(live)]
    if denied:
        return _denied_by_policy(context, target, possible, denied)
    if observed.passed:
        return _filled(SOME_BACKENDS_FAIL, passed=observed.passed, count=len(observed.outcomes))
    answers = set(node_ports.values())
    if set(observed.outcomes) == {"refused"} and answers <= {"refused"}:
        ports = ", ".join(sorted({str(backend.port) for backend in target.backends}))
        return _filled(TARGET_PORT_CLOSED, place=target.place, ports=ports)
    cause = UNREACHABLE
    if "open" in answers:
        cause = LOAD_BALANCER_NOT_ANSWERING
    elif answers == {"refused"}:
        cause = NODES_DO_NOT_FORWARD
    elif answers:
        cause = NODES_UNREACHABLE
    nodes, node_port = ", ".join(sorted(node_ports)), target.service_port.node_port
    return _filled(cause, place=target.place, observed=observed, node_port=node_port, nodes=nodes)


def _denied_by_policy(
    context: VerificationContext, target: Target, possible: Sequence[PossibleArrival], denied: Sequence[PossibleArrival]
) -> Cause:
    live, service_port = context.live(target.service.namespace), target.service_port.port
    policies, target_port = names(denied[0].decision(live).isolating), denied[0].backend.port
    if all(arrival.is_admitted(live, service_port) for arrival in denied):
        return _filled(SERVICE_PORT_IN_POLICY, service_port=service_port, target_port=target_port, policies=policies)
    if {arrival.kind for arrival in denied} == {SourceKind.NODES} and len(denied) < len(possible):
        addresses = ", ".join(sorted({arrival.address for arrival in denied}))
        return _filled(NODE_ADDRESSES_MISSING, addresses=addresses, policies=policies)
    return _filled(ADMITS_LESS, policies=policies, planned=_planned(context, possible))


def _planned(context: VerificationContext, possible: Sequence[PossibleArrival]) -> str:
    """The policies that should decide, and that are not live as they are planned."""
    pod = possible[0].backend.pod
    live = {policy.name: policy.spec for policy in context.live(pod.namespace)}
    differing = (policy for policy in context.intended(pod) if live.get(policy.name) != policy.spec)
    return names(differing) or "a policy of the operator"


def _filled(cause: Cause, **fields: object) -> Cause:
    return replace(cause, message=cause.message.format(**fields))


def drift(context: VerificationContext, namespace: str) -> Check | None:
    """A comparison of a namespace's live policies with the planned ones; None where nothing is planned."""
    writes = context.plan(namespace).writes
    if not context.resolution(namespace).policies and not writes:
        return None
    expected = Expected("allowed", "the live NetworkPolicies match the plan")
    check = Check(f"{namespace}/(policies)", None, None, expected, "as expected")
    differing = [change for change in writes if not change.interim and _decides(change)]
    if not differing:
        return check
    differences = (DIFFERENCES[change.verb].format(name=change.name) for change in differing)
    cause = _filled(NOT_AS_PLANNED, namespace=namespace, differences=", ".join(dict.fromkeys(differences)))
    return replace(check, result="mismatch", cause=cause)


def _decides(change: Change) -> bool:
    """Whether the change affects connections: labels and annotations do not."""
    return change.verb != "update" or (change.live is not None and change.live.spec != change.policy.spec)
