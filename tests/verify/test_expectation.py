"""What is expected of a connection, computed from manifests alone; and what the probe reports about a socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from exposure.cli.offline import read_snapshot
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot
from exposure.verify.context import VerificationContext
from exposure.verify.expectation import Connection
from exposure.verify.probe import attempt, connect
from exposure.verify.targets import outside_targets
from exposure.verify.values import Vantage

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: app, image: app}]}
status: {podIPs: [{ip: 10.244.1.5}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [10.244.1.5], nodeName: n1, targetRef: {kind: Pod, name: web-0}, conditions: {ready: true}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.9
  selector: {app: web}
  externalTrafficPolicy: @ETP
  @RANGES
  ports: [{port: 80, targetPort: 8080, protocol: TCP, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: @VIP}]}}
"""
POLICY = """
---
apiVersion: exposure.dev/v1alpha1
kind: ExposurePolicy
metadata: {name: edge, namespace: shop}
spec: @SPEC
"""
NARROW = "{clients: {cidrs: [192.168.1.0/24]}}"


def snapshot_of(
    folder: Path, *, policy: str = "", traffic: str = "Local", ranges: str = "", vip: str = "192.168.9.9"
) -> Snapshot:
    """The shop with an ExposurePolicy (its spec), an externalTrafficPolicy, and loadBalancerSourceRanges."""
    text = SHOP + (POLICY.replace("@SPEC", policy) if policy else "")
    field = f"loadBalancerSourceRanges: [{ranges}]" if ranges else ""
    path = folder / "shop.yaml"
    path.write_text(text.replace("@ETP", traffic).replace("@RANGES", field).replace("@VIP", vip))
    return read_snapshot([str(path)], Config(cni="kube-router", provider="metallb"), None)


@pytest.mark.parametrize(
    "source, options, verdict, words",
    [
        pytest.param("192.168.1.7", {"policy": NARROW}, "allowed", "client 192.168.1.7", id="a-client"),
        pytest.param("192.168.2.7", {"policy": NARROW}, "denied", "externalTrafficPolicy Local", id="another-client"),
        pytest.param(
            "192.168.1.7",
            {"policy": NARROW, "traffic": "Cluster"},
            "allowed",
            "a node's address",
            id="a-client-or-a-node",
        ),
        pytest.param(
            "192.168.2.7", {"policy": NARROW, "traffic": "Cluster"}, "unsure", "SourceFilterLost", id="hidden-by-snat"
        ),
        pytest.param(
            "192.168.1.7",
            {"policy": "{clients: {cidrs: [192.168.1.0/24], unenforceable: Deny}}", "traffic": "Cluster"},
            "unsure",
            "CrossNodeTrafficDropped",
            id="dropped-where-another-node-forwards",
        ),
        pytest.param("192.168.2.7", {}, "allowed", "192.168.2.7", id="an-entry-point-without-a-policy"),
        pytest.param(
            "192.168.2.7",
            {"traffic": "Cluster", "ranges": "192.168.1.0/24"},
            "denied",
            "before any policy",
            id="kube-proxy-enforces-the-field",
        ),
        pytest.param(
            "192.168.2.7",
            {"traffic": "Cluster", "ranges": "192.168.1.0/24, nonsense"},
            "denied",
            "before any policy",
            id="an-entry-that-is-no-range-admits-no-address",
        ),
        pytest.param("192.168.1.7", {"policy": NARROW, "vip": "8.8.8.8"}, "unsure", "NAT changes", id="behind-a-nat"),
        pytest.param(
            "192.168.1.7",
            {"policy": "{}", "vip": "8.8.8.8"},
            "allowed",
            "whatever its address",
            id="everyone-behind-a-nat",
        ),
        pytest.param(
            "192.168.2.7",
            {"policy": "{mode: Audit, clients: {cidrs: [192.168.1.0/24]}}"},
            "allowed",
            "client 192.168.2.7",
            id="audit-restricts-no-connection",
        ),
    ],
)
def test_what_is_expected(tmp_path: Path, source: str, options: dict[str, str], verdict: str, words: str) -> None:
    """Allowed where every way to arrive passes, denied where none does, unsure where it cannot be known from here."""
    context = VerificationContext(snapshot_of(tmp_path, **options))
    [target] = outside_targets(context, context.exposures(["shop"]))
    expectation = Connection(context, target, Vantage("outside", (source,))).expected()
    assert (verdict, True) == (expectation.verdict, words in expectation.why), expectation.why


def test_the_probe_distinguishes_an_open_port_from_a_closed_one() -> None:
    """A connection that is established, one that is reset, and a protocol that cannot be tried."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ["oo"] == connect([["127.0.0.1", port, "TCP", 2, "o"]], 1.0, 4)
    assert "r" == attempt("127.0.0.1", port, "TCP", 1.0)
    assert "n" == attempt("127.0.0.1", port, "SCTP", 1.0)


def test_silence_over_udp_is_not_tried_again() -> None:
    """Where a datagram is not answered, more datagrams would prove no more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert ["s"] == connect([["127.0.0.1", server.getsockname()[1], "UDP", 4, ""]], 0.1, 4)
