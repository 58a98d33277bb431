"""Pods of a lab: what is wanted, what runs, and the API objects of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab.network import PodHost


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod to run: where, under which labels, with which named ports (name → (protocol, number)), serving which ports.

    `ready` False leaves it out of its Services until `Lab.set_ready`.
    """

    namespace: str
    name: str
    node: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    serves: Sequence[tuple[str, int]] = ()
    ready: bool = True


@dataclass(frozen=True, slots=True)
class LabPod:
    """A running pod."""

    spec: PodSpec
    host: PodHost

    @property
    def full_name(self) -> str:
        return f"{self.spec.namespace}/{self.spec.name}"


def pod_manifest(spec: PodSpec) -> dict[str, Any]:
    """The Pod as its owner writes it."""
    ports = [
        {"name": name, "protocol": protocol, "containerPort": number} for name, (protocol, number) in spec.ports.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": spec.name, "namespace": spec.namespace, "labels": dict(spec.labels)},
        "spec": {
            "nodeName": spec.node,
            "containers": [{"name": "app", "image": "registry.example/app", "ports": ports}],
        },
    }


def pod_status(pod: LabPod, *, ready: bool) -> dict[str, Any]:
    """What a kubelet would report."""
    return {
        "phase": "Running",
        "hostIP": pod.host.node.addresses[0],
        "hostIPs": [{"ip": address} for address in pod.host.node.addresses],
        "podIP": pod.host.addresses[0],
        "podIPs": [{"ip": address} for address in pod.host.addresses],
        "conditions": [{"type": "Ready", "status": str(ready)}, {"type": "ContainersReady", "status": str(ready)}],
    }
