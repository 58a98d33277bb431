"""What else touches the same pods: other exposed Services, and policies that other people wrote."""

from collections.abc import Iterable, Iterator

from exposure.addresses import covered
from exposure.catalog.blind_spots import blind_spot
from exposure.model.exposures import BlindSpot
from exposure.networkpolicy.values import NetworkPolicy, Peer, PolicyPort, Rule
from exposure.resolve.governed import GovernedService
from exposure.resolve.network_policies import is_ours


def shared_pods(grants: Iterable[GovernedService]) -> dict[str, list[BlindSpot]]:
    """For each Service, the other exposed Services that select pods of its own.

    Only Services that have a label of their selectors, or a pod, in common are compared.
    """
    meeting: dict[object, list[GovernedService]] = {}
    for grant in grants:
        if grant.pod_selector is not None:
            for meeting_place in (*grant.pod_selector.labels, *(pod.name for pod in grant.pods)):
                meeting.setdefault(meeting_place, []).append(grant)
    others: dict[str, set[str]] = {}
    for place, met in meeting.items():
        for one in met if len(met) > 1 else ():
            for other in met:
                if other is not one and (isinstance(place, str) or _nested(one, other)):
                    others.setdefault(one.service.name, set()).add(other.service.name)
    return {
        name: [blind_spot("SharedPods", f"Also selected by: {', '.join(sorted(found))}.")]
        for name, found in others.items()
    }


def _nested(one: GovernedService, other: GovernedService) -> bool:
    left, right = one.pod_selector, other.pod_selector
    return left is not None and right is not None and (left.covers(right) or right.covers(left))


def additive(grant: GovernedService, policies: Iterable[NetworkPolicy]) -> Iterator[BlindSpot]:
    """Foreign policies that select the grant's pods and admit what it does not."""
    for policy in sorted(policies, key=lambda each: each.name):
        if is_ours(policy) or not policy.spec.ingress or not _touches(grant, policy):
            continue
        more = next((rule for rule in policy.spec.ingress if not _within(rule, grant.ingress)), None)
        if more is not None:
            yield blind_spot("AdditivePolicy", f"NetworkPolicy {policy.namespace}/{policy.name} admits {_shown(more)}.")


def _touches(grant: GovernedService, policy: NetworkPolicy) -> bool:
    selector = grant.pod_selector
    if selector is None:
        return False
    if policy.spec.subject.covers(selector) or policy.spec.subject.matches(dict(selector.labels)):
        return True
    return any(policy.spec.subject.matches(dict(pod.labels)) for pod in grant.pods)


def _within(rule: Rule, ours: tuple[Rule, ...]) -> bool:
    """Whether what a rule admits is certainly admitted by ours too."""
    if rule.peers is None or rule.ports is None:
        return False
    return all(_admitted(peer, port, ours) for peer in rule.peers for port in rule.ports)


def _admitted(peer: Peer, port: PolicyPort, ours: tuple[Rule, ...]) -> bool:
    for rule in ours:
        if rule.ports is not None and port not in rule.ports:
            continue
        if rule.peers is None or peer in rule.peers:
            return True
        blocks = [each.block for each in rule.peers if each.block is not None]
        if peer.block is not None and any(
            covered(peer.block.cidr, [block.cidr]) and set(block.excepts) <= set(peer.block.excepts) for block in blocks
        ):
            return True
    return False


def _shown(rule: Rule) -> str:
    who = "everyone" if rule.peers is None else ", ".join(map(str, rule.peers))
    where = "every port" if rule.ports is None else ", ".join(map(str, rule.ports))
    return f"{who} to {where}"
