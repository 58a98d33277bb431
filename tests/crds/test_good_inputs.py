"""Valid policies are stored as they were written, with nothing added: an omitted field says nothing."""

from typing import Any

import pytest

from tests.crds.api import Api, Json, Spec


def accepted(name: str, spec: Spec) -> Any:
    return pytest.param(spec, id=name)


def ranges(count: int) -> list[str]:
    return [f"10.{n // 256}.{n % 256}.0/24" for n in range(count)]


EVERYTHING: Json = {
    "mode": "Enforce",
    "entryPoints": ["LoadBalancer", "NodePort", "ExternalIP", "HostPort", "Ingress", "Gateway"],
    "services": {
        "selector": {
            "matchLabels": {"app.kubernetes.io/name": "web", "empty": ""},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["edge", "core"]},
                {"key": "tier", "operator": "NotIn", "values": ["db"]},
                {"key": "example.com/a", "operator": "Exists"},
                {"key": "b", "operator": "DoesNotExist", "values": []},
            ],
        }
    },
    "isolation": {"ingress": True, "egress": False, "allowSameNamespace": False},
    "clients": {
        "cidrs": ["203.0.113.0/24", "2001:db8::/48", "::/0"],
        "except": ["203.0.113.66/32", "2001:db8:0:1::/64"],
        "unenforceable": "Deny",
    },
    "ports": ["https", 8443, 1, 65535, "a-port-name-of-more-than-15-characters"],
    "peers": [
        {"namespaceSelector": {"matchLabels": {"team": "checkout"}}, "podSelector": {}},
        {"podSelector": {"matchLabels": {"app": "batch"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ],
    "egress": {
        "dns": True,
        "apiServer": False,
        "to": [
            {
                "to": [{"podSelector": {"matchLabels": {"app": "db"}}}, {"ipBlock": {"cidr": "192.0.2.7/32"}}],
                "ports": [
                    {"port": 5432},
                    {"protocol": "UDP", "port": 8000, "endPort": 8000},
                    {"protocol": "SCTP"},
                    {"port": "http"},
                ],
            },
            {"ports": [{"port": 443}]},
            {"to": [], "ports": []},
            {},
        ],
    },
    "loadBalancer": {"profile": "aws-nlb-ip", "cidrs": ["10.0.32.0/20"], "healthCheckCIDRs": ["10.0.48.0/20"]},
}

GOOD_SPECS = [
    accepted("empty", {}),
    accepted("every-field", EVERYTHING),
    accepted("empty-objects", {"isolation": {}, "clients": {}, "egress": {}, "loadBalancer": {}}),
    accepted("empty-lists", {"peers": [], "egress": {"to": []}, "loadBalancer": {"cidrs": [], "healthCheckCIDRs": []}}),
    accepted("services-by-name", {"services": {"names": ["web", "w" * 63, "2048", "a-b"]}}),
    accepted("everyone-but-one", {"clients": {"cidrs": ["0.0.0.0/0", "::/0"], "except": ["203.0.113.66/32"]}}),
    accepted("one-address", {"clients": {"cidrs": ["203.0.113.7/32", "2001:db8::7/128"]}}),
    accepted("a-range-twice", {"clients": {"cidrs": ["10.0.0.0/8", "10.0.0.0/8"]}}),
    accepted("profile-auto", {"loadBalancer": {"profile": "auto"}}),
]

CLUSTER_EVERYTHING: Json = {
    "namespaceSelector": {"matchLabels": {"exposed": "yes"}},
    "includeSystemNamespaces": ["kube-system"],
    "isolation": {"ingress": True, "egress": True, "allowSameNamespace": True},
    "defaults": EVERYTHING,
    "requireExposurePolicy": True,
    "limits": {
        "clients": {"cidrs": ["10.0.0.0/8", "2001:db8::/32"]},
        "ports": [443, 8443],
        "allowPublic": False,
        "allowModes": ["Enforce", "Audit", "Paused"],
    },
}

GOOD_CLUSTER_SPECS = [
    accepted("empty", {}),
    accepted("every-field", CLUSTER_EVERYTHING),
    accepted("every-namespace", {"namespaceSelector": {}}),
    accepted(
        "empty-lists",
        {"includeSystemNamespaces": [], "defaults": {}, "limits": {"clients": {"cidrs": []}, "ports": []}},
    ),
]


def at_every_limit() -> Json:
    """Every list as long as it may be, with the exceptions where checking them costs most: in the last block."""
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ranges(64)}}
    callee = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ranges(32)}}
    return {
        "entryPoints": EVERYTHING["entryPoints"],
        "services": {"names": [f"{'n' * 60}{n:03}" for n in range(100)]},
        "clients": {
            "cidrs": [*(f"2001:db8:{n:x}::/48" for n in range(255)), "10.0.0.0/8"],
            "except": ranges(64),
        },
        "ports": [f"{n:03}{'p' * 60}" for n in range(100)],
        "peers": [block] * 64,
        "egress": {"to": [{"ports": [{"port": 1, "endPort": 65535}] * 32, "to": [callee] * 32}] * 32},
        "loadBalancer": {"cidrs": ranges(256), "healthCheckCIDRs": ranges(256)},
    }


def widest_selector() -> Json:
    requirement = {"key": f"{'p' * 63}.{'q' * 63}/{'k' * 63}", "operator": "In", "values": ["v" * 63] * 32}
    return {
        "matchLabels": {f"example.com/{'k' * 60}{n:03}": "v" * 63 for n in range(32)},
        "matchExpressions": [requirement] * 16,
    }


@pytest.mark.parametrize("spec", GOOD_SPECS)
def test_a_valid_exposure_policy_is_stored_as_written(api: Api, spec: Spec) -> None:
    """Nothing is added."""
    answer = api.exposure_policy(spec)
    assert (answer.status, answer.message) == (201, "")
    assert spec == answer.body["spec"]


@pytest.mark.parametrize("spec", GOOD_CLUSTER_SPECS)
def test_a_valid_cluster_exposure_policy_is_stored_as_written(api: Api, spec: Spec) -> None:
    """Nothing is added."""
    answer = api.cluster_exposure_policy(spec)
    assert (answer.status, answer.message) == (201, "")
    assert spec == answer.body["spec"]


def test_every_list_may_be_at_its_limit(api: Api) -> None:
    """The longest lists stay within what the API server spends on the rules of one object."""
    spec = at_every_limit()
    assert "" == api.exposure_policy(spec).message
    assert "" == api.cluster_exposure_policy({"defaults": spec}).message


def test_many_wide_selectors_are_accepted(api: Api) -> None:
    """As many of the widest selectors as fit into a request stay within that cost as well."""
    spec = {"peers": [{"podSelector": widest_selector(), "namespaceSelector": widest_selector()}] * 30}
    assert "" == api.exposure_policy(spec).message


def test_a_null_is_an_omission(api: Api) -> None:
    """`clients:` with nothing under it is omitted, as everywhere in Kubernetes."""
    answer = api.exposure_policy({"mode": None, "clients": None, "ports": None})
    assert {} == answer.body["spec"]


@pytest.mark.parametrize("kind", ["exposure_policy", "cluster_exposure_policy"])
def test_a_name_of_63_characters_is_accepted(api: Api, kind: str) -> None:
    """It is the longest that is a label value."""
    assert "" == getattr(api, kind)({}, "n" * 63).message
