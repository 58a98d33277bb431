"""Snapshots from API objects, parsed as the operator and the CLI parse them."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from exposure.model.exposures import Exposure, Resolution
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy, Rule
from exposure.parse.config import config
from exposure.parse.kinds import KINDS
from exposure.resolve import cluster_facts, resolve

Json: TypeAlias = dict[str, Any]
BY_KIND = {kind.kind: kind for kind in KINDS}


def snapshot(*objects: Json, **network: Any) -> Snapshot:
    """The objects as a `Snapshot`; keywords are the configuration's `network` fields."""
    gathered: dict[str, Any] = {kind.snapshot: {} for kind in KINDS}
    for raw in objects:
        kind = BY_KIND[raw["kind"]]
        value = kind.parse(raw)
        into = gathered[kind.snapshot]
        if kind.namespaced:
            into.setdefault(value.namespace, {})[value.name] = value
        else:
            into[value.name] = value
    return Snapshot(config=config({"network": network}), **gathered)


def resolved(*objects: Json, namespace: str = "shop", **network: Any) -> Resolution:
    here = snapshot(*objects, **network)
    return resolve(here, cluster_facts(here), namespace)


def named(kind: str, name: str, spec: Any = None, *, namespace: str = "shop", status: Any = None, **meta: Any) -> Json:
    head = {"name": name, **({"namespace": namespace} if BY_KIND[kind].namespaced else {}), **meta}
    raw: Json = {"kind": kind, "metadata": head}
    if spec is not None:
        raw["spec"] = spec
    if status is not None:
        raw["status"] = status
    return raw


def service(name: str = "web", *, annotations: Any = None, labels: Any = None, ip: str = "", **spec: Any) -> Json:
    """A LoadBalancer Service of app=<name>, 80 to 8080, on IPv4."""
    whole = {
        "type": "LoadBalancer",
        "selector": {"app": name},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        "clusterIPs": ["10.96.0.10"],
        "ipFamilies": ["IPv4"],
    }
    whole = {key: value for key, value in (whole | spec).items() if value is not None}
    status = {"loadBalancer": {"ingress": [{"ip": ip}]}} if ip else None
    meta: Json = {"uid": f"uid-{name}", "annotations": annotations or {}, "labels": labels or {}}
    return named("Service", name, whole, status=status, **meta)


def policy(name: str = "edge", *, created: str = "", status: Any = None, namespace: str = "shop", **spec: Any) -> Json:
    meta = {"creationTimestamp": created} if created else {}
    return named("ExposurePolicy", name, spec, namespace=namespace, status=status, **meta)


def cluster_policy(name: str = "platform", *, created: str = "", status: Any = None, **spec: Any) -> Json:
    meta = {"creationTimestamp": created} if created else {}
    return named("ClusterExposurePolicy", name, spec, status=status, **meta)


def node(name: str = "n1", ip: str = "192.0.2.1", *, pods: Iterable[str] = ("10.244.1.0/24",), **more: Any) -> Json:
    meta = {key: more.pop(key) for key in ("annotations", "labels") if key in more}
    addresses = [{"type": "InternalIP", "address": ip}]
    return named("Node", name, {"podCIDRs": list(pods), **more}, status={"addresses": addresses}, **meta)


def pod(name: str, *, labels: Any = None, ip: str = "", namespace: str = "shop", **spec: Any) -> Json:
    status = {"podIPs": [{"ip": ip}] if ip else [], "conditions": [{"type": "Ready", "status": "True"}]}
    return named("Pod", name, spec, namespace=namespace, status=status, labels=labels or {"app": "web"})


def agent(label: str) -> Json:
    """A pod by which a CNI is recognized."""
    return pod("agent", labels={"k8s-app": label}, namespace="kube-system", hostNetwork=True)


def the_policy(of: Resolution, name: str) -> NetworkPolicy:
    return next(written for written in of.policies if written.name == name)


def the_exposure(of: Resolution, name: str) -> Exposure:
    return next(exposure for exposure in of.exposures if exposure.name == name)


def reasons(of: Resolution, name: str = "service-web") -> set[str]:
    return {spot.reason for spot in the_exposure(of, name).blind_spots}


def admitted(of: Resolution, name: str = "web") -> set[str]:
    """What the Service's policy admits, as text: blocks and pods."""
    ingress = the_policy(of, f"exposure-to-{name}").spec.ingress or ()
    return {str(peer) for rule in ingress for peer in rule.peers or ()}


def opened(of: Resolution, name: str = "web") -> set[str]:
    """The target ports that the Service's policy opens."""
    ingress = the_policy(of, f"exposure-to-{name}").spec.ingress or ()
    return {str(port) for rule in ingress for port in rule.ports or ()}


def rules(of: Resolution) -> Iterator[Rule]:
    for written in of.policies:
        yield from (*(written.spec.ingress or ()), *(written.spec.egress or ()))
