"""NetworkPolicies there and back, and those of others, however odd they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.addresses import block, network
from exposure.labels import LabelSelector, Requirement, pairs, selecting
from exposure.networkpolicy.parse import network_policy
from exposure.networkpolicy.render import network_policy_manifest
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort, PolicySpec, Rule
from tests.unit.snapshots import named
from tests.unit.test_addresses import networks
from tests.unit.test_parse_intent import JSON, spoilt

WORDS = st.sampled_from(["app", "tier", "web", "db", "exposure.dev/service"])
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement,
        WORDS,
        st.sampled_from(["In", "NotIn"]),
        st.lists(WORDS, min_size=1, max_size=2).map(sorted).map(tuple),
    ),
    st.builds(Requirement, WORDS, st.sampled_from(["Exists", "DoesNotExist"])),
)
SELECTORS = st.builds(
    LabelSelector,
    st.dictionaries(WORDS, WORDS, max_size=2).map(pairs),
    st.lists(REQUIREMENTS, max_size=2).map(lambda found: tuple(sorted(found, key=str))),
)
BLOCKS = st.builds(block, networks(), st.lists(networks(), max_size=2)).filter(bool)
PEERS = st.one_of(
    st.builds(lambda found: Peer(block=found), BLOCKS),
    st.builds(lambda pods: Peer(pods=pods), SELECTORS),
    st.builds(lambda namespaces: Peer(namespaces=namespaces), SELECTORS),
    st.builds(lambda pods, namespaces: Peer(pods=pods, namespaces=namespaces), SELECTORS, SELECTORS),
)
PORTS = st.one_of(
    st.builds(PolicyPort, st.sampled_from(["TCP", "UDP", "SCTP"]), st.none() | st.integers(1, 65535) | WORDS),
    st.builds(PolicyPort, st.just("TCP"), st.integers(1, 100), st.integers(100, 200)),
)
RULES = st.builds(
    Rule,
    st.none() | st.lists(PEERS, min_size=1, max_size=3).map(tuple),
    st.none() | st.lists(PORTS, min_size=1, max_size=2).map(tuple),
)
WAYS = st.none() | st.lists(RULES, max_size=2).map(tuple)
SPECS = st.builds(PolicySpec, SELECTORS, WAYS, WAYS).filter(lambda s: (s.ingress, s.egress) != (None, None))
POLICIES = st.builds(
    NetworkPolicy,
    st.just("shop"),
    WORDS,
    SPECS,
    st.dictionaries(WORDS, WORDS, max_size=2).map(pairs),
    st.sampled_from([(), (("exposure.dev/explanation", "Admits no source."),)]),
    st.sampled_from([(), (Owner("v1", "Service", "web", "uid-web"),)]),
)


@given(POLICIES)
def test_there_and_back(policy: NetworkPolicy) -> None:
    """What is applied is read back as what was meant: otherwise every drift check would write for ever."""
    assert policy == network_policy(network_policy_manifest(policy))


@given(POLICIES)
def test_manifests_are_explicit(policy: NetworkPolicy) -> None:
    """What the API would default is written, so that nothing depends on how it defaults."""
    spec = network_policy_manifest(policy)["spec"]
    assert bool(policy.spec.ingress is not None) == ("Ingress" in spec["policyTypes"]) == ("ingress" in spec)
    assert bool(policy.spec.egress is not None) == ("Egress" in spec["policyTypes"]) == ("egress" in spec)
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        assert [] not in rule.values()
        assert all("protocol" in port for port in rule.get("ports", ()))


BARE = NetworkPolicy("shop", "exposure-default-deny", PolicySpec(LabelSelector((), ()), (), None))
FULL = NetworkPolicy(
    "shop",
    "exposure-to-web",
    PolicySpec(
        LabelSelector((("app", "web"),), (Requirement("tier", "In", ("a", "b")), Requirement("old", "DoesNotExist"))),
        None,
        (
            Rule(
                (
                    Peer(block=block(network("10.0.0.0/8"), [network("10.1.0.0/16")])),
                    Peer(block=block(network("2001:db8::/32"))),
                    Peer(namespaces=LabelSelector((), ())),
                    Peer(pods=selecting({"app": "db"}), namespaces=selecting({"team": "a"})),
                ),
                (PolicyPort("TCP", 8000, 8100), PolicyPort("UDP"), PolicyPort("TCP", "http")),
            ),
            Rule(None, None),
        ),
    ),
    (("app.kubernetes.io/managed-by", "exposure-operator"),),
    (("exposure.dev/explanation", "Admits no source."),),
    (Owner("v1", "Service", "web", "uid-web"),),
)


@pytest.mark.parametrize(
    "policy, metadata, spec",
    [
        pytest.param(
            BARE,
            {"namespace": "shop", "name": "exposure-default-deny", "labels": {}},
            {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []},
            id="every-pod-and-no-source",
        ),
        pytest.param(
            FULL,
            {
                "namespace": "shop",
                "name": "exposure-to-web",
                "labels": {"app.kubernetes.io/managed-by": "exposure-operator"},
                "annotations": {"exposure.dev/explanation": "Admits no source."},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "uid-web"}],
            },
            {
                "podSelector": {
                    "matchLabels": {"app": "web"},
                    "matchExpressions": [
                        {"key": "tier", "operator": "In", "values": ["a", "b"]},
                        {"key": "old", "operator": "DoesNotExist"},
                    ],
                },
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [
                            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                            {"ipBlock": {"cidr": "2001:db8::/32"}},
                            {"namespaceSelector": {}},
                            {
                                "namespaceSelector": {"matchLabels": {"team": "a"}},
                                "podSelector": {"matchLabels": {"app": "db"}},
                            },
                        ],
                        "ports": [
                            {"protocol": "TCP", "port": 8000, "endPort": 8100},
                            {"protocol": "UDP"},
                            {"protocol": "TCP", "port": "http"},
                        ],
                    },
                    {},
                ],
            },
            id="everything-that-can-be-said",
        ),
    ],
)
def test_a_manifest(policy: NetworkPolicy, metadata: Any, spec: Any) -> None:
    """As the API has it: what is absent stays absent, and what is empty is written."""
    found = network_policy_manifest(policy)
    assert (metadata, spec) == (found["metadata"], found["spec"])


def read(spec: Any) -> PolicySpec:
    return network_policy(named("NetworkPolicy", "theirs", spec)).spec


def ingress(*rules: Any) -> Any:
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules)}


@pytest.mark.parametrize(
    "spec, expected",
    [
        pytest.param({}, ((), None), id="no-types-means-ingress"),
        pytest.param({"ingress": [{}]}, ((Rule(None, None),), None), id="an-empty-rule-admits-everyone"),
        pytest.param({"egress": [{}]}, ((), (Rule(None, None),)), id="egress-rules-without-types-count"),
        pytest.param({"policyTypes": ["Egress"], "ingress": [{}]}, (None, ()), id="a-direction-that-no-type-names"),
        pytest.param({"policyTypes": ["Ingress"], "egress": [{}]}, ((), None), id="the-other-direction"),
    ],
)
def test_directions(spec: Any, expected: Any) -> None:
    """https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/ (policyTypes)"""
    found = read(spec)
    assert expected == (found.ingress, found.egress)


@pytest.mark.parametrize(
    "rule, shown",
    [
        pytest.param({"from": [{"ipBlock": {"cidr": "010.0.0.0/8"}}]}, "10.0.0.0/8", id="leading-zeros-of-old"),
        pytest.param({"from": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}, "10.0.0.0/8", id="host-bits-of-old"),
        pytest.param({"from": [{"ipBlock": {"cidr": "000.0.0.0/0"}}]}, "0.0.0.0/0", id="zeros-alone"),
        pytest.param(
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "x", 7]}}]},
            "10.0.0.0/8 except 10.1.0.0/16",
            id="an-unreadable-exception-excepts-nothing",
        ),
        pytest.param({"from": [{"ipBlock": {"cidr": "office"}}]}, "everyone", id="an-unreadable-range"),
        pytest.param(
            {"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "office"}}]}, "everyone", id="one-such-among-others"
        ),
        pytest.param({"from": []}, "everyone", id="an-empty-list"),
        pytest.param({"from": [{}]}, "everyone", id="an-empty-peer"),
        pytest.param({"from": ["pods"]}, "everyone", id="a-word"),
        pytest.param({"from": "pods"}, "everyone", id="not-a-list"),
        pytest.param(None, "everyone", id="a-null-rule"),
        pytest.param({"from": [{"podSelector": {}}]}, "every pod of this namespace", id="pods"),
    ],
)
def test_odd_peers_are_read_as_the_widest_they_could_mean(rule: Any, shown: str) -> None:
    """They are named where they reopen something, so none may be missed."""
    (found,) = read(ingress(rule)).ingress or ()
    assert shown == ("everyone" if found.peers is None else ", ".join(map(str, found.peers)))


def test_a_block_of_which_nothing_is_left() -> None:
    """Everyone, by the same rule: it is nothing that the API server stores."""
    whole = {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}
    (found,) = read(ingress(whole)).ingress or ()
    assert found.peers is None


@pytest.mark.parametrize(
    "ports, shown",
    [
        pytest.param([{"port": 80}], "tcp/80", id="a-number"),
        pytest.param([{"port": "http", "protocol": "UDP"}], "udp/http", id="a-name"),
        pytest.param([{"port": 80, "endPort": 90}], "tcp/80-90", id="a-range"),
        pytest.param([{}], "tcp/*", id="every-port-of-a-protocol"),
        pytest.param([{"port": "²"}], "tcp/²", id="digits-of-other-scripts-are-no-number"),
        pytest.param([{"port": "9" * 5000}], "tcp/" + "9" * 5000, id="nor-are-thousands-of-digits"),
        pytest.param([{"port": 80}, "http"], "every port", id="one-that-is-unreadable"),
        pytest.param([], "every port", id="none"),
    ],
)
def test_odd_ports(ports: Any, shown: str) -> None:
    """Ports likewise."""
    (found,) = read(ingress({"ports": ports})).ingress or ()
    assert shown == ("every port" if found.ports is None else ", ".join(map(str, found.ports)))


@given(st.builds(network_policy_manifest, POLICIES).flatmap(spoilt) | JSON)
def test_nothing_crashes_the_reading_of_other_peoples_policies(raw: Any) -> None:
    """An object that is not read would look as if it were not there, and be overwritten."""
    if isinstance(raw, dict):
        assert isinstance(network_policy(raw), NetworkPolicy)


@pytest.mark.parametrize(
    "peer, text",
    [
        pytest.param({"namespaceSelector": {}}, "every pod in every namespace", id="every-pod"),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"c": "d"}}},
            "pods c=d in namespaces a=b",
            id="pods-of-some-namespaces",
        ),
    ],
)
def test_how_peers_read(peer: Any, text: str) -> None:
    """As a sentence says it."""
    (found,) = read(ingress({"from": [peer]})).ingress or ()
    assert text == str((found.peers or ())[0])
