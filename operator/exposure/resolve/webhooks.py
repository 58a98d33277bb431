"""Admission webhooks in isolated pods. The API server calls them from outside of every namespace.

ingress-nginx, cert-manager and many others have one. A default deny cuts the API server off from it. Then, depending on
failurePolicy, every request fails that the webhook has to review.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
"""

from collections.abc import Iterable, Mapping

from exposure.addresses import Block, Network, inside, network
from exposure.catalog.blind_spots import blind_spot
from exposure.labels import LabelSelector
from exposure.model.connection_ends import addresses_end
from exposure.model.exposures import BlindSpot
from exposure.model.objects import Service, ServicePort, Webhook
from exposure.networkpolicy.evaluate import Evaluator
from exposure.networkpolicy.matching import ConnectionEnd, Match, ports_match
from exposure.networkpolicy.values import NetworkPolicy, PolicyPort, Rule
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governed import GovernedService
from exposure.resolve.inputs import SERVICE_ENTRY_POINTS, NamespaceInputs
from exposure.resolve.ports import known_numbers

#: Stands for the Service in a namespace that has no entry point. No Service has an empty name.
NO_ENTRY_POINT = ""


def webhook_blind_spots(
    inputs: NamespaceInputs,
    facts: ClusterFacts,
    governed: Mapping[str, GovernedService],
    policies: Iterable[NetworkPolicy],
) -> dict[str, list[BlindSpot]]:
    """By Service, the webhooks that the API server cannot reach through `policies`.

    They are reported at each governed entry point that shares the webhook's pods; if there is none, at every governed
    entry point of the namespace; else at every entry point. A namespace without entry points, such as cert-manager's,
    has them under NO_ENTRY_POINT, and its policies report them.
    """
    blind_spots: dict[str, list[BlindSpot]] = {}
    evaluator = Evaluator(policies)
    for call in facts.webhooks.get(inputs.namespace.name, ()):
        service = next((service for service in inputs.services if service.name == call.service), None)
        port = next((port for port in service.ports if port.port == call.port), None) if service else None
        selector = service.pod_selector if service else None
        if service is None or port is None or selector is None or service.type == "ExternalName":
            continue
        pods = tuple(service.selected(inputs.pods))
        numbers = frozenset(known_numbers(port, inputs.slices.get(service.name, ()), pods))
        asked = PolicyPort("TCP", port.target_port)
        named_ports = {("TCP", str(port.target_port)): numbers} if numbers else {}
        # One end for each set of labels. Pods that share their node's network are left out: no policy restricts them.
        label_sets = {pod.labels for pod in pods if not pod.host_network} if pods else {selector.labels}
        ends = [
            ConnectionEnd(Match.YES, service.namespace, labels, named_ports=named_ports)
            for labels in sorted(label_sets)
        ]
        if all(_is_reached(evaluator, end, asked, facts) for end in ends):
            continue
        exposed = [name for name, kinds in inputs.entry_points.items() if kinds.intersection(SERVICE_ENTRY_POINTS)]
        here = [name for name in exposed if name in governed]
        sharing = [name for name in here if _shares(governed[name], selector)]
        for name in sharing or here or exposed or [NO_ENTRY_POINT]:
            blind_spots.setdefault(name, []).append(_blind_spot(call.webhook, service, port, facts))
    return blind_spots


def _is_reached(evaluator: Evaluator, pod: ConnectionEnd, port: PolicyPort, facts: ClusterFacts) -> bool:
    """Whether the API server can certainly call a pod, from each of its addresses."""
    addresses = api_server_addresses(facts)
    if addresses:
        by_identity = facts.cni.pod_ranges == "matched-by-identity"
        return all(
            evaluator.decide("ingress", pod, addresses_end([Block(address)], ip_blocks=not on_node), port).allowed
            for address in addresses
            for on_node in [by_identity and str(address.network_address) in facts.node_addresses]
        )
    isolating = evaluator.isolating("ingress", pod)
    rules = [rule for policy in isolating for rule in policy.spec.ingress or ()]
    return not isolating or any(
        ports_match(rule.ports, port, pod) is Match.YES and _may_be_for_the_api_server(rule, facts) for rule in rules
    )


def _may_be_for_the_api_server(rule: Rule, facts: ClusterFacts) -> bool:
    """Where its addresses are not known: a rule for addresses, but not one only for those that nodes SNAT to."""
    cidrs = [peer.block.cidr for peer in rule.peers or () if peer.block is not None]
    return rule.peers is None or any(
        cidr.prefixlen == 0 or not any(inside(cidr, node) for node in facts.snat) for cidr in cidrs
    )


def _shares(governed: GovernedService, selector: LabelSelector) -> bool:
    own = governed.pod_selector
    if own is None:
        return False
    pods = any(selector.matches(pod.labels) for pod in governed.pods)
    return pods or own.covers(selector) or selector.covers(own)


def api_server_addresses(facts: ClusterFacts) -> tuple[Network, ...]:
    """The addresses in the EndpointSlices default/kubernetes, sorted as text; empty if they are not known."""
    endpoints = (endpoint for endpoint_slice in facts.api_server for endpoint in endpoint_slice.endpoints)
    addresses = {ip for endpoint in endpoints for ip in endpoint.addresses}
    return tuple(network(ip) for ip in sorted(addresses))


def _blind_spot(webhook: Webhook, service: Service, port: ServicePort, facts: ClusterFacts) -> BlindSpot:
    addresses = ", ".join(map(str, api_server_addresses(facts)))
    detail = (
        f"{webhook.kind} {webhook.name} calls Service {service.ref} at port {port.port} (pods: {port.target_port})."
    )
    where = addresses or "its addresses (kubectl get endpointslices -n default kubernetes)"
    cure = (
        f"Create a NetworkPolicy of your own that selects {service.pod_selector} in "
        f"{service.namespace} and admits the API server, {where}, to TCP {port.target_port}."
    )
    if facts.cni.pod_ranges == "matched-by-identity":
        cure += " If the control plane runs on nodes, use a CiliumNetworkPolicy with fromEntities: kube-apiserver."
    return blind_spot("WebhookUnreachable", detail, cure=cure)
