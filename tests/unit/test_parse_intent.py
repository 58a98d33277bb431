"""ExposurePolicies and ClusterExposurePolicies as values: a valid spec in full, an invalid one not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.addresses import Block, network
from exposure.labels import EVERYTHING, pairs
from exposure.model.intent import ClusterSpec, Egress, ExposureSpec, InvalidSpec, Limits
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.parse.intent import cluster_exposure_policy, exposure_policy
from tests.crds.test_bad_inputs import BAD_CLUSTER_SPECS, BAD_SPECS
from tests.crds.test_good_inputs import (
    CLUSTER_EVERYTHING,
    GOOD_CLUSTER_SPECS,
    GOOD_SPECS,
)
from tests.crds.test_good_inputs import (
    EVERYTHING as EVERY_FIELD,
)
from tests.unit.snapshots import cluster_policy, policy


def read(spec: Any) -> Any:
    return exposure_policy({"metadata": {"name": "edge", "namespace": "shop"}, "spec": spec}).spec


def read_for_cluster(spec: Any) -> Any:
    return cluster_exposure_policy({"metadata": {"name": "platform"}, "spec": spec}).spec


def invalid(spec: Any) -> InvalidSpec:
    assert isinstance(spec, InvalidSpec)
    assert spec.message
    return spec


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_invalid_specs(spec: Any, field: str, words: str) -> None:
    """Whatever comes past the API server, or was accepted by an older CRD: the field is named, and nothing is read."""
    assert f"spec.{field}" == invalid(read(spec)).field


@pytest.mark.parametrize("spec, field, words", BAD_CLUSTER_SPECS)
def test_invalid_cluster_specs(spec: Any, field: str, words: str) -> None:
    """A limit that is invalid must not vanish: it would limit nothing."""
    assert f"spec.{field}" == invalid(read_for_cluster(spec)).field


@pytest.mark.parametrize("spec", GOOD_SPECS)
def test_valid_specs(spec: Any) -> None:
    """What the API server accepts is read."""
    assert isinstance(read(spec), ExposureSpec)
    assert isinstance(read_for_cluster({"defaults": spec}), ClusterSpec)


@pytest.mark.parametrize("spec", GOOD_CLUSTER_SPECS)
def test_valid_cluster_specs(spec: Any) -> None:
    """What the API server accepts is read."""
    assert isinstance(read_for_cluster(spec), ClusterSpec)


#: Half and half, which is all of 10.0.0.0/8.
ALL_EXCLUDED = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9", "10.128.0.0/9"]}}
PODS: Any = {"podSelector": {}}


@pytest.mark.parametrize(
    "spec, field",
    [
        pytest.param({"peers": [PODS, ALL_EXCLUDED]}, "peers[1]", id="a-peer"),
        pytest.param({"egress": {"to": [{}, {"to": [ALL_EXCLUDED]}]}}, "egress.to[1].to[0]", id="a-callee"),
    ],
)
def test_exceptions_that_leave_nothing(spec: Any, field: str) -> None:
    """CEL cannot add exceptions up. A list of peers that lost its only entry would admit everyone."""
    sentence = "excludes all of 10.0.0.0/8. Remove the entry from the list, or an exception"
    assert InvalidSpec(f"spec.{field}.ipBlock.except", sentence) == read(spec)
    assert InvalidSpec(f"spec.defaults.{field}.ipBlock.except", sentence) == read_for_cluster({"defaults": spec})


def test_clients_of_which_nothing_is_left() -> None:
    """They are a list without an entry, which admits no client. It is not the same as a list that was omitted."""
    spec = read({"clients": {"cidrs": ["10.0.0.0/9", "10.0.0.0/8"], "except": ["10.0.0.0/9", "10.128.0.0/9"]}})
    assert () == spec.clients.blocks
    assert read({}).clients.blocks is None


def test_every_field_is_read() -> None:
    """Each field of a spec ends up in its place, sets in an order of their own."""
    spec = read(EVERY_FIELD)
    assert spec.mode == "Enforce"
    assert spec.entry_points == ("LoadBalancer", "NodePort", "ExternalIP", "HostPort", "Ingress", "Gateway")
    assert spec.selector.matches(
        pairs({"app.kubernetes.io/name": "web", "empty": "", "tier": "edge", "example.com/a": ""})
    )
    assert spec.names is None
    assert (spec.isolation.ingress, spec.isolation.egress, spec.isolation.allow_same_namespace) == (
        True,
        False,
        False,
    )
    assert ["203.0.113.0/24 except 203.0.113.66/32", "2001:db8::/48 except 2001:db8:0:1::/64"] == list(
        map(str, spec.clients.blocks[:2])
    )
    assert "::/0 except 2001:db8:0:1::/64" == str(spec.clients.blocks[2])
    assert list(map(network, ["203.0.113.0/24", "2001:db8::/48", "::/0"])) == list(spec.clients.cidrs)
    assert "Deny" == spec.clients.unenforceable
    assert ("https", 8443, 1, 65535, "a-port-name-of-more-than-15-characters") == spec.ports
    assert Peer(block=Block(network("10.0.0.0/8"), (network("10.1.0.0/16"),))) == spec.peers[2]
    assert EVERYTHING == spec.peers[0].pods
    assert (True, False) == (spec.egress.dns, spec.egress.api_server)
    assert (PolicyPort("TCP", 5432), PolicyPort("UDP", 8000, 8000), PolicyPort("SCTP"), PolicyPort("TCP", "http")) == (
        spec.egress.to[0].ports
    )
    assert [Rule(None, (PolicyPort("TCP", 443),)), Rule(None, None), Rule(None, None)] == list(spec.egress.to[1:])
    assert "aws-nlb-ip" == spec.load_balancer.profile
    assert (network("10.0.32.0/20"),) == spec.load_balancer.cidrs
    assert (network("10.0.48.0/20"),) == spec.load_balancer.health_check_cidrs


def test_every_field_of_a_platform_team_is_read() -> None:
    """Each field of a ClusterExposurePolicy ends up in its place."""
    spec = read_for_cluster(CLUSTER_EVERYTHING)
    assert spec.namespace_selector.matches(pairs({"exposed": "yes"}))
    assert ("kube-system",) == spec.include_system_namespaces
    assert spec.require_exposure_policy
    expected = Limits(
        (Block(network("10.0.0.0/8")), Block(network("2001:db8::/32"))),
        frozenset({443, 8443}),
        False,
        ("Enforce", "Audit", "Paused"),
    )
    assert expected == spec.limits


def test_omitted_fields() -> None:
    """An omitted field says nothing, and a null is an omission."""
    assert ExposureSpec() == read({}) == read({"mode": None, "clients": None, "ports": None, "services": None})
    assert ClusterSpec() == read_for_cluster({})
    assert Egress() == read({"egress": {}}).egress
    assert read({"loadBalancer": {"profile": "auto"}}).load_balancer.profile is None


@pytest.mark.parametrize(
    "remembered, accepted",
    [
        pytest.param({"generation": 2, "spec": {"ports": [80]}}, ExposureSpec(ports=(80,)), id="a-meaning"),
        pytest.param({"generation": 2, "spec": {"ports": ["80"]}}, None, id="one-that-is-not-valid-any-longer"),
        pytest.param({"generation": 2}, None, id="none"),
        pytest.param({}, None, id="nothing-remembered"),
        pytest.param("all", None, id="nonsense"),
    ],
)
def test_the_last_accepted_spec(remembered: Any, accepted: Any) -> None:
    """What status remembers is validated like what is written: an invalid spec was never accepted."""
    assert accepted == exposure_policy(policy(status={"lastAccepted": remembered})).last_accepted
    if accepted is None:
        assert cluster_exposure_policy(cluster_policy(status={"lastAccepted": remembered})).last_accepted is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn, whole: Any) -> Any:
    """A good spec with one of its parts replaced by anything."""
    if isinstance(whole, dict) and whole and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(whole)))
        return {**whole, key: draw(spoilt(whole[key]))}
    if isinstance(whole, list) and whole and draw(st.integers(0, 4)):
        index = draw(st.integers(0, len(whole) - 1))
        return [*whole[:index], draw(spoilt(whole[index])), *whole[index + 1 :]]
    return draw(JSON)


@given(spoilt(EVERY_FIELD))
def test_nothing_crashes_the_reading_of_a_policy(spec: Any) -> None:
    """Whatever stands in a field: it is read, or it is named with its path and a cure."""
    value = read(spec)
    assert isinstance(value, ExposureSpec) or (value.field.startswith("spec") and value.message)


@given(spoilt(CLUSTER_EVERYTHING))
def test_nothing_crashes_the_reading_of_a_cluster_policy(spec: Any) -> None:
    """The same for the platform team's."""
    value = read_for_cluster(spec)
    assert isinstance(value, ClusterSpec) or (value.field.startswith("spec") and value.message)
