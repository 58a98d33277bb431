"""What runs on the nodes of a lab: kube-proxy, MetalLB, and an enforcer of NetworkPolicies."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Part
from tests.lab.api import Api
from tests.lab.enforcer.watch import fingerprint
from tests.lab.metallb.build import metallb
from tests.lab.network import POD_CIDRS, SERVICE_CIDRS, VIPS, Host, Node

METALLB_NAMESPACE = "metallb-system"
_SPEAKER_LABELS = {"app": "metallb", "component": "speaker"}
_REPOSITORY = Path(__file__).resolve().parents[2]


def start_kube_proxy(cluster: ControlPlane, node: Node, root: Path, mode: str) -> Part:
    """kube-proxy in a node's namespace; `mode` is iptables or nftables."""
    config = root / f"kube-proxy-{node.name}.json"
    quick = {"minSyncPeriod": "10ms", "syncPeriod": "30s"}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": mode,
                "hostnameOverride": node.name,
                "clientConnection": {"kubeconfig": str(cluster.kubeconfig)},
                "clusterCIDR": ",".join(POD_CIDRS),
                "detectLocalMode": "ClusterCIDR",
                "iptables": quick,
                "nftables": quick,
                # The limits are the machine's, not a namespace's: leave them alone.
                "conntrack": {
                    "maxPerCore": 0,
                    "min": 0,
                    "tcpEstablishedTimeout": "0s",
                    "tcpCloseWaitTimeout": "0s",
                },
            }
        )
    )
    return Part(
        [*node.netns.prefix, str(cluster.binaries / "kube-proxy"), f"--config={config}"],
        log=root / f"kube-proxy-{node.name}.log",
    )


def install_metallb(api: Api) -> None:
    """MetalLB's CRDs, and one pool of addresses announced by L2."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((metallb() / "crds").iterdir())]
    for crd in crds:
        crd.pop("status", None)
        api.apply(crd)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": METALLB_NAMESPACE}})
    for crd in crds:
        _wait_established(api, crd["metadata"]["name"])
    metadata = {"name": "lan", "namespace": METALLB_NAMESPACE}
    own: dict[str, Any] = {"apiVersion": "metallb.io/v1beta1", "metadata": metadata}
    api.apply({**own, "kind": "IPAddressPool", "spec": {"addresses": list(VIPS)}})
    api.apply({**own, "kind": "L2Advertisement", "spec": {"ipAddressPools": ["lan"]}})


def _wait_established(api: Api, name: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = api.get("CustomResourceDefinition", "", name).get("status") or {}
        # A new CRD may have `conditions: null`.
        conditions = status.get("conditions") or ()
        if any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions):
            return
        time.sleep(0.02)
    raise RuntimeError(f"CRD {name} is not established after 10 s")


def start_metallb_controller(cluster: ControlPlane, host: Host, root: Path) -> Part:
    """MetalLB's controller, which gives Services their addresses."""
    return Part(
        [
            *host.netns.prefix,
            str(metallb() / "controller"),
            "--webhook-mode=disabled",
            "--disable-cert-rotation",
            "--port=7472",
        ],
        log=root / "metallb-controller.log",
        env={
            "KUBECONFIG": str(cluster.kubeconfig),
            "METALLB_NAMESPACE": METALLB_NAMESPACE,
            "METALLB_DEPLOYMENT": "controller",
        },
    )


def start_speakers(cluster: ControlPlane, api: Api, nodes: Sequence[Node], root: Path, key: str) -> list[Part]:
    """MetalLB's speaker on each node, which answers ARP and NDP. Speakers find each other by their Pods."""
    for node in nodes:
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"speaker-{node.name}", "namespace": METALLB_NAMESPACE, "labels": _SPEAKER_LABELS},
            "spec": {
                "nodeName": node.name,
                "hostNetwork": True,
                "containers": [{"name": "speaker", "image": "registry.example/speaker"}],
            },
        }
        api.apply(pod)
        status = {
            "phase": "Running",
            "podIPs": [{"ip": address} for address in node.addresses],
            "podIP": node.addresses[0],
        }
        api.call(
            "PATCH",
            f"/api/v1/namespaces/{METALLB_NAMESPACE}/pods/speaker-{node.name}/status",
            {"status": status},
            "application/merge-patch+json",
        )
    labels = ",".join(f"{key}={value}" for key, value in _SPEAKER_LABELS.items())
    return [
        Part(
            [
                *node.netns.prefix,
                str(metallb() / "speaker"),
                f"--ml-bindaddr={node.addresses[0]}",
                f"--ml-labels={labels}",
                "--port=7472",
            ],
            log=root / f"speaker-{node.name}.log",
            env={
                "KUBECONFIG": str(cluster.kubeconfig),
                "METALLB_NAMESPACE": METALLB_NAMESPACE,
                "METALLB_NODE_NAME": node.name,
                "METALLB_HOST": node.addresses[0],
                "METALLB_ML_SECRET_KEY": key,
            },
        )
        for node in nodes
    ]


def new_speaker_key() -> str:
    """The secret that the speakers of one lab share."""
    return secrets.token_hex(16)


class Enforcer:
    """The lab's own enforcer, one process for all nodes, and how far it has got."""

    def __init__(
        self, cluster: ControlPlane, host: Host, root: Path, namespaces: Path, position: str, denial: str
    ) -> None:
        token = root / "enforcer.token"
        token.touch(mode=0o600)
        token.write_text(cluster.admin_token)
        self._log = root / "enforcer.log"
        self.part = Part(
            [
                *host.netns.prefix,
                sys.executable,
                "-m",
                "tests.lab.enforcer",
                f"--server={cluster.url}",
                f"--token-file={token}",
                f"--ca-file={cluster.ca_file}",
                f"--namespaces={namespaces}",
                f"--position={position}",
                f"--denial={denial}",
            ],
            log=self._log,
            env={"PYTHONPATH": str(_REPOSITORY)},
        )
        self._read = 0
        self._in_force: Mapping[str, str] = {}

    def has(self, kind: str, objects: Iterable[Any]) -> bool:
        """Whether the packet filters hold exactly these objects of a kind (`pods`, `networkpolicies`, …)."""
        self._read_on()
        return self._in_force.get(kind) == fingerprint(objects)

    def _read_on(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if line.startswith(b'{"in_force"'):
                    self._in_force = json.loads(line)["in_force"]


def start_kube_router(cluster: ControlPlane, node: Node, root: Path) -> Part:
    """A real CNI's policy controller, from $LAB_CNI, on one node. It knows IPv4 here, and pods by their hostIP."""
    return Part(
        [
            *node.netns.prefix,
            os.environ["LAB_CNI"],
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-firewall=true",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--hostname-override={node.name}",
            "--enable-ipv6=false",
            f"--service-cluster-ip-range={SERVICE_CIDRS[0]}",
        ],
        log=root / f"kube-router-{node.name}.log",
    )
