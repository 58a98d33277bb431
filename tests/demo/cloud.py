"""The parts that an embedded cluster lacks: two nodes, a scheduler, kubelets, and a cloud that gives out addresses."""

import threading
import urllib.error

from tests.cluster.api import Api, Object
from tests.cluster.control_plane import ControlPlane

LOOK_SECONDS = 0.1
#: A documentation range (RFC 5737, TEST-NET-1) for nodes and load balancers; those of clients are the other two.
NODES = {"node-a": ("192.0.2.11", "10.244.1"), "node-b": ("192.0.2.12", "10.244.2")}
ADDRESSES = range(101, 200)


class Cloud:
    """A thread that looks every tenth of a second, and does what the real parts would do at once."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cloud", daemon=True)
        self._pods = 0
        self._addresses = iter(ADDRESSES)

    def start(self) -> None:
        api = Api(self._cluster)
        for name, (address, pods) in NODES.items():
            api.create(_node(name, pods))
            api.patch("Node", "", name, {"status": _node_status(address)}, "status")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _work(self) -> None:
        api = Api(self._cluster)
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._look(api)
            except (urllib.error.URLError, OSError):
                continue  # it changed meanwhile, or the cluster is being stopped: the next look tells

    def _look(self, api: Api) -> None:
        for pod in api.items("Pod"):
            where, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                path = f"/api/v1/namespaces/{where}/pods/{name}?gracePeriodSeconds=0"
                api.call("DELETE", path)
            elif where != "exposure-system" and "nodeName" not in pod["spec"]:
                self._run(api, where, name)
        for service in api.items("Service"):
            balanced = service["spec"]["type"] == "LoadBalancer"
            if balanced and not service["status"]["loadBalancer"] and "deletionTimestamp" not in service["metadata"]:
                head = service["metadata"]
                status = {"loadBalancer": {"ingress": [{"ip": f"192.0.2.{next(self._addresses)}"}]}}
                api.patch("Service", head["namespace"], head["name"], {"status": status}, "status")

    def _run(self, api: Api, where: str, name: str) -> None:
        self._pods += 1
        node = sorted(NODES)[self._pods % len(NODES)]
        address, pods = NODES[node]
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        api.call("POST", f"/api/v1/namespaces/{where}/pods/{name}/binding", binding)
        ip = f"{pods}.{10 + self._pods}"
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "hostIP": address,
            "hostIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        api.patch("Pod", where, name, {"status": status}, "status")


def _node(name: str, pods: str) -> Object:
    """A node as Calico leaves it, by which the operator knows where policies are enforced: before SNAT."""
    address = NODES[name][0]
    annotations = {
        "projectcalico.org/IPv4Address": f"{address}/24",
        "projectcalico.org/IPv4VXLANTunnelAddr": f"{pods}.0",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"podCIDR": f"{pods}.0/24", "podCIDRs": [f"{pods}.0/24"]},
    }


def _node_status(address: str) -> Object:
    return {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }
