"""Core and discovery objects of the cluster: the fields on which exposure depends."""

from sys import intern

from exposure.catalog.annotations import is_marked
from exposure.catalog.cnis import NODE_ANNOTATION_MARKS
from exposure.catalog.providers import ANNOTATION_MARKS
from exposure.fields import (
    Raw,
    addresses,
    boolean,
    each,
    integer,
    is_address,
    is_network,
    labels,
    mapping,
    meta,
    objects,
    optional_text,
    port,
    text,
    texts,
)
from exposure.labels import NAMESPACE_LABEL, Pairs
from exposure.model.objects import (
    ContainerPort,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    IPPool,
    Namespace,
    Node,
    Pod,
    PublishedAddress,
    Ref,
    Service,
    ServicePort,
    Webhook,
)
from exposure.networkpolicy.parse import owners

MODE_ANNOTATION = "exposure.dev/mode"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def annotations(raw: Raw, marks: tuple[str, ...] = ANNOTATION_MARKS) -> Pairs:
    """The annotations that rows of the catalog name. All others are dropped: they decide nothing."""
    return tuple((key, value) for key, value in labels(meta(raw), "annotations") if is_marked(key, marks))


def place(raw: Raw) -> tuple[str, str]:
    """Namespace and name of an object in a namespace."""
    return intern(text(meta(raw), "namespace", "default")), text(meta(raw), "name")


def published(raw: Raw) -> tuple[PublishedAddress, ...]:
    """status.loadBalancer.ingress of a Service or an Ingress."""
    return each(
        mapping(mapping(raw, "status"), "loadBalancer"),
        "ingress",
        lambda entry: PublishedAddress(text(entry, "ip"), text(entry, "hostname"), text(entry, "ipMode", "VIP")),
    )


def service(raw: Raw) -> Service:
    head, spec = meta(raw), mapping(raw, "spec")
    written = texts(spec, "clusterIPs") or (text(spec, "clusterIP"),)
    return Service(
        *place(raw),
        type=intern(text(spec, "type", "ClusterIP")),
        selector=labels(spec, "selector") if mapping(spec, "selector") else None,
        ports=each(spec, "ports", service_port),
        cluster_ips=tuple(ip for ip in written if ip == "None" or is_address(ip)),
        ip_families=tuple(map(intern, texts(spec, "ipFamilies"))),
        external_ips=texts(spec, "externalIPs"),
        load_balancer_class=optional_text(spec, "loadBalancerClass"),
        source_ranges=texts(spec, "loadBalancerSourceRanges"),
        external_traffic_policy=intern(text(spec, "externalTrafficPolicy") or "Cluster"),
        allocates_node_ports=boolean(spec, "allocateLoadBalancerNodePorts", True),
        published=published(raw),
        annotations=annotations(raw),
        labels=labels(head, "labels"),
        owners=owners(raw),
        uid=text(head, "uid"),
        deleting="deletionTimestamp" in head,
    )


def service_port(raw: Raw) -> ServicePort:
    number = integer(raw, "port")
    target = port(raw.get("targetPort"))
    return ServicePort(
        name=text(raw, "name"),
        protocol=intern(text(raw, "protocol") or "TCP"),
        port=number,
        target_port=number if target is None or target == 0 else target,
        node_port=integer(raw, "nodePort"),
    )


def endpoint_slice(raw: Raw) -> EndpointSlice:
    head = meta(raw)
    return EndpointSlice(
        *place(raw),
        service=text(mapping(head, "labels"), SERVICE_NAME_LABEL),
        address_type=intern(text(raw, "addressType", "IPv4")),
        ports=each(
            raw,
            "ports",
            lambda entry: EndpointPort(
                text(entry, "name"), intern(text(entry, "protocol") or "TCP"), integer(entry, "port") or None
            ),
        ),
        endpoints=each(raw, "endpoints", endpoint),
    )


def endpoint(raw: Raw) -> Endpoint:
    target = mapping(raw, "targetRef")
    return Endpoint(
        addresses=addresses(raw, "addresses"),
        ready=boolean(mapping(raw, "conditions"), "ready", True),
        pod=text(target, "name") if text(target, "kind") == "Pod" else "",
        node=intern(text(raw, "nodeName")),
    )


def pod(raw: Raw) -> Pod:
    head, spec, status = meta(raw), mapping(raw, "spec"), mapping(raw, "status")
    written = [text(entry, "ip") for entry in objects(status, "podIPs")] or [text(status, "podIP")]
    sidecars = [
        container for container in objects(spec, "initContainers") if text(container, "restartPolicy") == "Always"
    ]
    ports = tuple(
        port
        for container in (*objects(spec, "containers"), *sidecars)
        for port in each(container, "ports", container_port)
    )
    return Pod(
        *place(raw),
        labels=labels(head, "labels"),
        ips=tuple(filter(is_address, written)),
        node=intern(text(spec, "nodeName")),
        host_network=boolean(spec, "hostNetwork", False),
        ports=ports,
        ready=any(
            text(condition, "type") == "Ready" and text(condition, "status") == "True"
            for condition in objects(status, "conditions")
        ),
        finished=text(status, "phase") in ("Succeeded", "Failed"),
    )


def container_port(raw: Raw) -> ContainerPort:
    return ContainerPort(
        name=text(raw, "name"),
        protocol=intern(text(raw, "protocol") or "TCP"),
        port=integer(raw, "containerPort"),
        host_port=integer(raw, "hostPort"),
    )


def namespace(raw: Raw) -> Namespace:
    head = meta(raw)
    name = text(head, "name")
    # The API server sets this label on every namespace. A manifest in a file does not have it yet.
    written = {**dict(labels(head, "labels")), NAMESPACE_LABEL: name}
    return Namespace(
        name=name,
        labels=tuple(sorted(written.items())),
        mode=optional_text(mapping(head, "annotations"), MODE_ANNOTATION),
        deleting="deletionTimestamp" in head or text(mapping(raw, "status"), "phase") == "Terminating",
    )


def node(raw: Raw) -> Node:
    spec = mapping(raw, "spec")
    return Node(
        name=text(meta(raw), "name"),
        internal_ips=_node_addresses(raw, "InternalIP"),
        external_ips=_node_addresses(raw, "ExternalIP"),
        pod_cidrs=tuple(filter(is_network, texts(spec, "podCIDRs") or (text(spec, "podCIDR"),))),
        provider_id=text(spec, "providerID"),
        kubelet_version=text(mapping(mapping(raw, "status"), "nodeInfo"), "kubeletVersion"),
        annotations=annotations(raw, NODE_ANNOTATION_MARKS),
    )


def _node_addresses(raw: Raw, kind: str) -> tuple[str, ...]:
    """The IP addresses in status.addresses. A kubelet may also report host names there."""
    listed = objects(mapping(raw, "status"), "addresses")
    return tuple(
        written for entry in listed if text(entry, "type") == kind and is_address(written := text(entry, "address"))
    )


def ip_pool(raw: Raw) -> IPPool:
    cidr = text(mapping(raw, "spec"), "cidr")
    return IPPool(text(meta(raw), "name"), cidr if is_network(cidr) else "")


#: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
WEBHOOK_PORT = 443


def webhook(raw: Raw) -> Webhook:
    """A Validating- or MutatingWebhookConfiguration. Webhooks that are called by URL concern no pod of the cluster."""
    services = (mapping(mapping(entry, "clientConfig"), "service") for entry in objects(raw, "webhooks"))
    called = (
        (Ref(intern(text(entry, "namespace")), text(entry, "name")), integer(entry, "port") or WEBHOOK_PORT)
        for entry in services
        if text(entry, "name")
    )
    return Webhook(intern(text(raw, "kind")), text(meta(raw), "name"), tuple(dict.fromkeys(called)))
