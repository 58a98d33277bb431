"""What a cluster without packets lacks: two nodes, pod addresses, and a cloud that assigns addresses to Services."""

from collections.abc import Mapping, Sequence

from tests.cluster.api import Api, Object

#: A documentation range (RFC 5737, TEST-NET-1) for nodes and load balancers; those of clients are the other two.
NODES = {"node-a": ("192.0.2.11", "10.244.1"), "node-b": ("192.0.2.12", "10.244.2")}
ADDRESSES = range(101, 200)


class PaperNetwork:
    """Addresses without servers: they are assigned, and no connection is made to them."""

    def __init__(self) -> None:
        self._assigned = dict.fromkeys(NODES, 1)

    @property
    def nodes(self) -> Mapping[str, Sequence[str]]:
        return {name: (address,) for name, (address, _) in NODES.items()}

    def join(self, pod: Object, node: str) -> Sequence[str]:
        self._assigned[node] += 1
        return (f"{NODES[node][1]}.{self._assigned[node]}",)

    def leave(self, pod: Object) -> None:
        pass  # no address is assigned twice

    def settle(self) -> None:
        pass  # there are no packets to hold back


class Cloud:
    """`look` gives every new LoadBalancer Service an address."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._addresses = iter(ADDRESSES)

    def look(self) -> None:
        for service in self._api.items("Service"):
            head, balanced = service["metadata"], service["spec"]["type"] == "LoadBalancer"
            if balanced and not service["status"]["loadBalancer"] and "deletionTimestamp" not in head:
                status = {"loadBalancer": {"ingress": [{"ip": f"192.0.2.{next(self._addresses)}"}]}}
                self._api.patch("Service", head["namespace"], head["name"], {"status": status}, "status")


def create_nodes(api: Api) -> None:
    """Both nodes, as Calico leaves them, by which the operator knows where policies are enforced: before SNAT."""
    for name, (address, pods) in NODES.items():
        annotations = {
            "projectcalico.org/IPv4Address": f"{address}/24",
            "projectcalico.org/IPv4VXLANTunnelAddr": f"{pods}.0",
        }
        labels = {"kubernetes.io/hostname": name}
        node: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": annotations, "labels": labels},
            "spec": {"podCIDR": f"{pods}.0/24", "podCIDRs": [f"{pods}.0/24"]},
        }
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }
        api.create(node)
        api.patch("Node", "", name, {"status": status}, "status")
