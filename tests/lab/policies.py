"""The policies under which every packet cell is tried."""

from __future__ import annotations

from typing import Any

from tests.lab.lab import Lab
from tests.lab.network import ALLOWED_CLIENTS, STRANGERS

SHOP, BANK = "shop", "bank"
TARGET = 8080

Manifest = dict[str, Any]


def policies(lab: Lab) -> dict[str, list[Manifest]]:
    """The policies that are tried one after the other, by name."""
    web = {"matchLabels": {"app": "web"}}
    allowed: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in ALLOWED_CLIENTS]
    nodes: list[Manifest] = [
        {"ipBlock": {"cidr": f"{address}/{32 if '.' in address else 128}"}}
        for node in lab.nodes.values()
        for address in node.addresses
    ]
    one_node = nodes[:2]
    everyone_but: list[Manifest] = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [STRANGERS[0], "10.244.0.0/16"]}},
        {"ipBlock": {"cidr": "::/0", "except": [STRANGERS[1], "fd00:10:244::/48"]}},
    ]
    mates: list[Manifest] = [{"podSelector": {"matchLabels": {"app": "mate"}}}]
    bank: list[Manifest] = [
        {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}}
    ]
    http: list[Manifest] = [{"port": "http"}]
    both: list[Manifest] = [{"port": 8000, "endPort": 8100}, {"port": TARGET, "protocol": "UDP"}]

    def ingress(name: str, peers: list[Manifest], ports: list[Manifest]) -> Manifest:
        return policy(name, SHOP, web, {"ingress": [{"from": peers, "ports": ports}]}, ["Ingress"])

    deny = policy("deny", SHOP, {}, {}, ["Ingress"])
    egress = {"egress": [{"to": [{"podSelector": web}], "ports": http}, {"to": nodes[:1]}]}
    return {
        "none": [],
        "deny": [deny],
        "clients": [ingress("clients", allowed, both)],
        "clients by port name": [deny, ingress("clients", allowed, http)],
        "nodes": [ingress("nodes", nodes, both)],
        "one node": [ingress("nodes", one_node, both)],
        "nodes and clients": [deny, ingress("both", nodes + allowed, both)],
        "everyone but": [ingress("but", everyone_but, both)],
        "mates": [deny, ingress("mates", mates, both)],
        "bank": [ingress("bank", bank, http)],
        "egress": [policy("out", SHOP, {"matchLabels": {"app": "mate"}}, egress, ["Egress"])],
        "egress and ingress": [
            ingress("mates", mates, both),
            policy("out", SHOP, {}, egress, ["Egress"]),
            policy("out", BANK, {}, {}, ["Egress"]),
        ],
    }


def policy(name: str, namespace: str, pod_selector: Manifest, sections: Manifest, types: list[str]) -> Manifest:
    """A NetworkPolicy's manifest: sections are its ingress and egress."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": pod_selector, "policyTypes": types, **sections},
    }
