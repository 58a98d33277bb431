"""The NetworkPolicies that should exist in a namespace: its wall, and one entry point for each exposed Service."""

from exposure.labels import EVERYTHING
from exposure.model.exposures import Source
from exposure.model.intent import Isolation
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicySpec, Rule
from exposure.resolve.grants import Grant
from exposure.resolve.overlaps import MANAGED_BY

DEFAULT_DENY = "exposure-default-deny"
SAME_NAMESPACE = "exposure-same-namespace"
TO_SERVICE = "exposure-to-"
EXPLANATION = "exposure.dev/explanation"
SERVICE_LABEL = "exposure.dev/service"
POLICY_LABEL = "exposure.dev/policy"
SHOWN = 4


def isolation_policies(namespace: str, isolation: Isolation) -> list[NetworkPolicy]:
    """The default-deny and the same-namespace allowance, in the directions that are isolated."""
    ways = [way for way, on in (("ingress", isolation.ingress), ("egress", isolation.egress)) if on]
    if not ways:
        return []
    deny = PolicySpec(EVERYTHING, () if isolation.ingress else None, () if isolation.egress else None)
    text = f"Denies all {' and '.join(ways)} of every pod that no other policy allows."
    found = [_policy(namespace, DEFAULT_DENY, deny, text)]
    if isolation.allow_same_namespace:
        neighbours = (Rule((Peer(pods=EVERYTHING),), None),)
        spec = PolicySpec(
            EVERYTHING, neighbours if isolation.ingress else None, neighbours if isolation.egress else None
        )
        found.append(_policy(namespace, SAME_NAMESPACE, spec, "Lets pods of this namespace reach each other."))
    return found


def grant_policy(grant: Grant) -> NetworkPolicy | None:
    """The policy of one exposed Service; None where no pods can be named."""
    if grant.subject.selector is None:
        return None
    service = grant.service
    labels = ((SERVICE_LABEL, service.name), (POLICY_LABEL, grant.voice.ref.name))
    owner = (Owner("v1", "Service", service.name, service.uid),) if service.uid else ()
    spec = PolicySpec(grant.subject.selector, grant.ingress, grant.egress)
    return _policy(service.namespace, TO_SERVICE + service.name, spec, explanation(grant), labels, owner)


def _policy(
    namespace: str,
    name: str,
    spec: PolicySpec,
    text: str,
    labels: tuple[tuple[str, str], ...] = (),
    owners: tuple[Owner, ...] = (),
) -> NetworkPolicy:
    marked = tuple(sorted((MANAGED_BY, *labels)))
    return NetworkPolicy(namespace, name, spec, marked, ((EXPLANATION, text),), owners)


def explanation(grant: Grant) -> str:
    """One sentence: who may reach which ports of the Service's pods, and by which policy."""
    if not grant.ingress:
        return f"Admits nobody to Service {grant.service.name}: {grant.refusal or 'nothing is asked for.'}"
    who = "; ".join(dict.fromkeys(_source(each) for each in grant.sources))
    peers = " and the policy's peers" if grant.voice.spec.peers else ""
    ports = ", ".join(dict.fromkeys(str(port) for rule in grant.ingress for port in rule.ports or ())) or "every port"
    admitted = f"{who or 'nobody from outside'}{peers}"
    return f"Admits {admitted} to {ports} of Service {grant.service.name}, by {grant.voice.ref}."


def _source(source: Source) -> str:
    named = (*source.blocks, *source.peers)
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return f"{source.kind} {', '.join(map(str, named[:SHOWN]))}{more}"
