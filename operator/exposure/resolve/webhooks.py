"""Admission webhooks whose pods stand behind a wall: the API server calls them from outside of every namespace.

ingress-nginx, cert-manager and many others bring one. A default-deny cuts the API server off from it, and then (by
failurePolicy) nobody can change what it watches over.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
"""

from collections.abc import Iterable, Mapping

from exposure.addresses import Network, inside, network, overlap
from exposure.catalog.blind_spots import blind_spot
from exposure.labels import LabelSelector, selecting
from exposure.model.exposures import BlindSpot
from exposure.model.objects import Service, ServicePort, Webhook
from exposure.networkpolicy.values import NetworkPolicy, Rule
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governed import GovernedService
from exposure.resolve.inputs import SERVICE_ENTRY_POINTS, NamespaceInputs
from exposure.resolve.ports import LabelledPod, known_numbers, selected


def webhook_spots(
    inputs: NamespaceInputs,
    facts: ClusterFacts,
    grants: Mapping[str, GovernedService],
    standing: Iterable[NetworkPolicy],
) -> dict[str, list[BlindSpot]]:
    """By Service, the webhooks that the API server cannot reach through the `standing` policies.

    Told where a governed entry point shares the webhook's pods; where none does, at every governed entry point of the namespace, else
    at every entry point; a namespace without any entry point (cert-manager's, say) has it under "", for its policies to say.
    """
    found: dict[str, list[BlindSpot]] = {}
    policies = tuple(standing)
    for call in facts.webhooks.get(inputs.namespace.name, ()):
        webhook, name, number = call.webhook, call.service, call.port
        service = next((each for each in inputs.services if each.name == name), None)
        port = next((each for each in service.ports if each.port == number), None) if service else None
        if service is None or port is None or not service.selector or service.type == "ExternalName":
            continue
        by = selecting(dict(service.selector))
        over = [each for each in policies if each.spec.ingress is not None and _selects(each, by, inputs.pods)]
        rules = [rule for each in over for rule in each.spec.ingress or ()]
        if not over or _all_on_nodes(inputs, by) or _reached(rules, _targets(inputs, service, port, by), facts):
            continue
        spot = _spot(webhook, service, port, facts)
        entry_points = [
            each.name for each in inputs.services if inputs.entry_points[each.name].intersection(SERVICE_ENTRY_POINTS)
        ]
        governed = [each for each in entry_points if each in grants]
        sharing = [each for each in governed if _shares(grants[each], by)]
        for each in sharing or governed or entry_points or [""]:
            found.setdefault(each, []).append(spot)
    return found


def _selects(policy: NetworkPolicy, by: LabelSelector, pods: Iterable[LabelledPod]) -> bool:
    subject = policy.spec.subject
    return subject.covers(by) or any(subject.matches(each.labels) for each in pods if by.matches(each.labels))


def _shares(grant: GovernedService, by: LabelSelector) -> bool:
    own = grant.pod_selector
    if own is None:
        return False
    return own.covers(by) or by.covers(own) or any(by.matches(dict(pod.labels)) for pod in grant.pods)


def _all_on_nodes(inputs: NamespaceInputs, by: LabelSelector) -> bool:
    """No policy selects pods that share their node's network, so none can cut them off."""
    behind = selected(inputs.pods, by)
    return bool(behind) and all(pod.host_network for pod in behind)


def _targets(inputs: NamespaceInputs, service: Service, port: ServicePort, by: LabelSelector) -> frozenset[int | str]:
    """What the pods listen on: the target port, and for a name the numbers that are known for it."""
    if isinstance(port.target_port, int):
        return frozenset({port.target_port})
    slices = inputs.slices.get(service.name, ())
    return frozenset({port.target_port, *known_numbers(port, slices, selected(inputs.pods, by))})


def _reached(rules: Iterable[Rule], targets: frozenset[int | str], facts: ClusterFacts) -> bool:
    admitting = [rule for rule in rules if _admits_port(rule, targets)]
    if any(rule.peers is None for rule in admitting):
        return True
    blocks = [peer.block for rule in admitting for peer in rule.peers or () if peer.block is not None]
    called_from = api_server_addresses(facts)
    if not called_from:
        # Whoever admits some address to this very port has thought of the API server; nobody can say more.
        return any(block.cidr.prefixlen == 0 or not _is_front(block.cidr, facts) for block in blocks)
    if facts.cni.pod_ranges == "matched-by-identity" and facts.node_addresses & {
        str(each.network_address) for each in called_from
    }:
        return False
    return all(
        any(inside(address, each.cidr) and not any(overlap(address, cut) for cut in each.excepts) for each in blocks)
        for address in called_from
    )


def _is_front(cidr: Network, facts: ClusterFacts) -> bool:
    """Nodes' own SNAT addresses are admitted for clients; they say nothing about the control plane."""
    return any(inside(cidr, each) for each in facts.snat)


def _admits_port(rule: Rule, targets: frozenset[int | str]) -> bool:
    if rule.ports is None:
        return True
    for each in rule.ports:
        if each.protocol != "TCP":
            continue
        if each.port is None or each.port in targets:
            return True
        first, last = each.port, each.end_port
        if (
            isinstance(first, int)
            and last is not None
            and any(isinstance(t, int) and first <= t <= last for t in targets)
        ):
            return True
    return False


def api_server_addresses(facts: ClusterFacts) -> tuple[Network, ...]:
    """The addresses in the EndpointSlices default/kubernetes, sorted as text; empty where they are not at hand."""
    found = {ip for each in facts.api_server for endpoint in each.endpoints for ip in endpoint.addresses}
    return tuple(network(ip) for ip in sorted(found))


def _spot(webhook: Webhook, service: Service, port: ServicePort, facts: ClusterFacts) -> BlindSpot:
    addresses = ", ".join(map(str, api_server_addresses(facts)))
    detail = (
        f"{webhook.kind} {webhook.name} calls Service {service.ref} at port {port.port} (pods: {port.target_port})."
    )
    where = addresses or "its addresses (kubectl get endpointslices -n default kubernetes)"
    cure = (
        f"Write a NetworkPolicy of your own that selects {selecting(dict(service.selector or ()))} in "
        f"{service.namespace} and admits the API server, {where}, to TCP {port.target_port}."
    )
    if facts.cni.pod_ranges == "matched-by-identity":
        cure += " Where the control plane runs on nodes, Cilium needs a CiliumNetworkPolicy from kube-apiserver."
    return blind_spot("WebhookUnreachable", detail, cure=cure)
