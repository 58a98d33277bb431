"""Core and discovery objects of the cluster, projected onto what exposure depends on."""

from sys import intern

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
#: Annotations of a Service that decide about exposure begin with one of these; every other one is not kept.
SERVICE_ANNOTATION_MARKS = (
    "service.beta.kubernetes.io/",
    "service.kubernetes.io/",
    "networking.gke.io/",
    "cloud.google.com/",
    "load-balancer.hetzner.cloud/",
    "oci.oraclecloud.com/",
    "oci-network-load-balancer.oraclecloud.com/",
    "loadbalancer.openstack.org/",
    "metallb.io/",
    "metallb.universe.tf/",
    "kube-vip.io/",
    "lbipam.cilium.io/",
    "io.cilium/",
    "svccontroller.k3s.cattle.io/",
    "alb.ingress.kubernetes.io/",
)
NODE_ANNOTATION_MARKS = (
    "projectcalico.org/",
    "flannel.",
    "k8s.ovn.org/",
    "node.antrea.io/",
    "kube-router.io/",
    "k3s.io/",
)
NODE_ANNOTATION_WORDS = ("cilium.io/",)


def annotations(raw: Raw, marks: tuple[str, ...], words: tuple[str, ...] = ()) -> Pairs:
    kept = labels(meta(raw), "annotations")
    return tuple((k, v) for k, v in kept if k.startswith(marks) or any(word in k for word in words))


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
        namespace=intern(text(head, "namespace", "default")),
        name=text(head, "name"),
        type=intern(text(spec, "type", "ClusterIP")),
        selector=labels(spec, "selector") if mapping(spec, "selector") else None,
        ports=each(spec, "ports", service_port),
        cluster_ips=tuple(ip for ip in written if ip == "None" or is_address(ip)),
        ip_families=tuple(map(intern, texts(spec, "ipFamilies"))),
        external_ips=texts(spec, "externalIPs"),
        load_balancer_class=optional_text(spec, "loadBalancerClass"),
        load_balancer_ip=text(spec, "loadBalancerIP"),
        source_ranges=texts(spec, "loadBalancerSourceRanges"),
        external_traffic_policy=intern(text(spec, "externalTrafficPolicy") or "Cluster"),
        allocates_node_ports=boolean(spec, "allocateLoadBalancerNodePorts", True),
        published=published(raw),
        annotations=annotations(raw, SERVICE_ANNOTATION_MARKS, ("alibabacloud.com/", "/alibaba-cloud-")),
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
        namespace=intern(text(head, "namespace", "default")),
        name=text(head, "name"),
        service=text(mapping(head, "labels"), SERVICE_NAME_LABEL),
        address_type=intern(text(raw, "addressType", "IPv4")),
        ports=each(
            raw,
            "ports",
            lambda p: EndpointPort(text(p, "name"), intern(text(p, "protocol") or "TCP"), integer(p, "port") or None),
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
    ips = tuple(text(entry, "ip") for entry in objects(status, "podIPs")) or tuple(
        ip for ip in (text(status, "podIP"),) if ip
    )
    sidecars = [c for c in objects(spec, "initContainers") if text(c, "restartPolicy") == "Always"]
    ports = tuple(
        ContainerPort(
            text(p, "name"), intern(text(p, "protocol") or "TCP"), integer(p, "containerPort"), integer(p, "hostPort")
        )
        for container in (*objects(spec, "containers"), *sidecars)
        for p in objects(container, "ports")
    )
    return Pod(
        namespace=intern(text(head, "namespace", "default")),
        name=text(head, "name"),
        labels=labels(head, "labels"),
        ips=ips,
        node=intern(text(spec, "nodeName")),
        host_network=boolean(spec, "hostNetwork", False),
        ports=ports,
        ready=any(text(c, "type") == "Ready" and text(c, "status") == "True" for c in objects(status, "conditions")),
        finished=text(status, "phase") in ("Succeeded", "Failed"),
    )


def namespace(raw: Raw) -> Namespace:
    head = meta(raw)
    name = text(head, "name")
    # The API server sets this label on every namespace; a manifest in a file does not carry it yet.
    written = {**dict(labels(head, "labels")), NAMESPACE_LABEL: name}
    return Namespace(
        name=name,
        labels=tuple(sorted(written.items())),
        mode=optional_text(mapping(head, "annotations"), MODE_ANNOTATION),
        deleting="deletionTimestamp" in head or text(mapping(raw, "status"), "phase") == "Terminating",
        uid=text(head, "uid"),
    )


def node(raw: Raw) -> Node:
    head, spec = meta(raw), mapping(raw, "spec")
    reached_at = objects(mapping(raw, "status"), "addresses")
    return Node(
        name=text(head, "name"),
        internal_ips=tuple(text(a, "address") for a in reached_at if text(a, "type") == "InternalIP"),
        external_ips=tuple(text(a, "address") for a in reached_at if text(a, "type") == "ExternalIP"),
        pod_cidrs=tuple(filter(is_network, texts(spec, "podCIDRs") or (text(spec, "podCIDR"),))),
        provider_id=text(spec, "providerID"),
        kubelet_version=text(mapping(mapping(raw, "status"), "nodeInfo"), "kubeletVersion"),
        annotations=annotations(raw, NODE_ANNOTATION_MARKS, NODE_ANNOTATION_WORDS),
        labels=tuple(
            (k, v) for k, v in labels(head, "labels") if not k.startswith(("topology.", "failure-domain.", "beta."))
        ),
    )


def ip_pool(raw: Raw) -> IPPool:
    spec = mapping(raw, "spec")
    cidr = text(spec, "cidr")
    return IPPool(text(meta(raw), "name"), cidr if is_network(cidr) else "", boolean(spec, "disabled", False))


#: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
WEBHOOK_PORT = 443


def webhook(raw: Raw) -> Webhook:
    """A Validating- or MutatingWebhookConfiguration; webhooks that are called by URL concern no pod of the cluster."""
    clients = (mapping(mapping(each, "clientConfig"), "service") for each in objects(raw, "webhooks"))
    called = (
        (Ref(intern(text(each, "namespace")), text(each, "name")), integer(each, "port") or WEBHOOK_PORT)
        for each in clients
        if text(each, "name")
    )
    return Webhook(intern(text(raw, "kind")), text(meta(raw), "name"), tuple(dict.fromkeys(called)))
