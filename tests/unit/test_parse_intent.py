"""ExposurePolicies and ClusterExposurePolicies that come past the API server are read as it would, or not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.addresses import Block, network
from exposure.labels import EVERYTHING
from exposure.model.intent import ClusterSpec, Egress, ExposureSpec, Limits, Unreadable
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.parse.intent import cluster_exposure_policy, exposure_policy
from exposure.resolve.limits import NO_LIMITS, first_violation
from tests.crds.test_bad_inputs import BAD_CLUSTER_SPECS, BAD_SPECS
from tests.crds.test_good_inputs import (
    CLUSTER_EVERYTHING,
    GOOD_CLUSTER_SPECS,
    GOOD_SPECS,
    at_every_limit,
)
from tests.crds.test_good_inputs import (
    EVERYTHING as EVERY_FIELD,
)
from tests.unit.snapshots import cluster_policy, policy

#: Which profiles there are is known to the provider rows, so resolve says this one.
BY_RESOLVE = ("profile-unknown",)
#: The CRDs bound lists so that the API server can afford its rules; a list of "at most 100" can well be meant longer.
MEANINGLESS = [
    case for case in BAD_SPECS if not str(case.values[2]).startswith(("at most", "100")) and case.id not in BY_RESOLVE
]
MEANINGLESS_FOR_CLUSTERS = [
    case for case in BAD_CLUSTER_SPECS if not str(case.values[2]).startswith(("at most", "100"))
]


def read(spec: Any) -> Any:
    return exposure_policy({"metadata": {"name": "edge", "namespace": "shop"}, "spec": spec}).spec


def read_for_cluster(spec: Any) -> Any:
    return cluster_exposure_policy({"metadata": {"name": "platform"}, "spec": spec}).spec


@pytest.mark.parametrize("spec, field, words", MEANINGLESS)
def test_what_cannot_be_meant(spec: Any, field: str, words: str) -> None:
    """The field that the API server names is the one that is named here, with a cure."""
    found = read(spec)
    assert isinstance(found, Unreadable)
    assert f"spec.{field}" == found.field
    assert found.message


@pytest.mark.parametrize("spec, field, words", MEANINGLESS)
def test_defaults_are_held_to_the_same(spec: Any, field: str, words: str) -> None:
    """A ClusterExposurePolicy's defaults are an ExposurePolicy's spec."""
    found = read_for_cluster({"defaults": spec})
    assert isinstance(found, Unreadable)
    assert f"spec.defaults.{field}" == found.field


@pytest.mark.parametrize("spec, field, words", MEANINGLESS_FOR_CLUSTERS)
def test_what_a_platform_team_cannot_mean(spec: Any, field: str, words: str) -> None:
    """A limit that cannot be read must not vanish: it would limit nothing."""
    found = read_for_cluster(spec)
    assert isinstance(found, Unreadable)
    assert f"spec.{field}" == found.field


def test_unknown_profiles() -> None:
    """A load balancer that no row knows is refused, with those that are known."""
    for case in BAD_SPECS:
        if case.id in BY_RESOLVE:
            violation = first_violation(read(case.values[0]), NO_LIMITS, ())
            assert violation is not None
            assert f"spec.{case.values[1]}" == violation.field
            assert "aws-nlb-ip" in violation.message


@pytest.mark.parametrize("spec", GOOD_SPECS)
def test_what_is_accepted_is_read(spec: Any) -> None:
    """Nothing that the API server accepts is refused here."""
    assert isinstance(read(spec), ExposureSpec)
    assert isinstance(read_for_cluster({"defaults": spec}), ClusterSpec)


@pytest.mark.parametrize("spec", GOOD_CLUSTER_SPECS)
def test_what_is_accepted_of_platform_teams_is_read(spec: Any) -> None:
    """The same for the cluster's policies."""
    assert isinstance(read_for_cluster(spec), ClusterSpec)


def test_the_longest_lists_are_read() -> None:
    """What the API server just so accepts."""
    assert isinstance(read(at_every_limit()), ExposureSpec)


@pytest.mark.parametrize(
    "spec, field",
    [
        pytest.param(None, "spec", id="no-spec-is-a-slip-of-indentation"),
        pytest.param([], "spec", id="a-list"),
        pytest.param("everything", "spec", id="a-word"),
        pytest.param({"services": {"selector": None}}, "spec.services", id="a-null-selector-is-no-selector"),
        pytest.param({"services": {"names": None}}, "spec.services", id="null-names-are-no-names"),
        pytest.param({"ports": "https"}, "spec.ports", id="ports-a-string"),
        pytest.param({"ports": [True]}, "spec.ports[0]", id="a-boolean-is-no-port"),
        pytest.param({"clients": {"cidrs": ["²/8"]}}, "spec.clients.cidrs[0]", id="digits-of-other-scripts"),
        pytest.param({"clients": {"cidrs": ["1.2.3/24"]}}, "spec.clients.cidrs[0]", id="three-octets"),
        pytest.param(
            {"peers": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9", "10.128.0.0/9"]}}]},
            "spec.peers[0].ipBlock.except",
            id="an-except-that-leaves-nobody",
        ),
        pytest.param({1: 2}, "spec.1", id="a-key-that-is-a-number"),
        pytest.param({"isolation": {"ingres": False}}, "spec.isolation.ingres", id="a-slip-of-the-pen"),
    ],
)
def test_what_json_may_hold(spec: Any, field: str) -> None:
    """Cases that only a file or an older object can bring."""
    found = read(spec)
    assert isinstance(found, Unreadable)
    assert field == found.field


def test_every_field_is_read() -> None:
    """Each field of a spec ends up in its place, sets in an order of their own."""
    found = read(EVERY_FIELD)
    assert found.mode == "Enforce"
    assert found.entry_points == ("LoadBalancer", "NodePort", "ExternalIP", "HostPort", "Ingress", "Gateway")
    assert found.selector.matches({"app.kubernetes.io/name": "web", "empty": "", "tier": "edge", "example.com/a": ""})
    assert found.names is None
    assert (found.isolation.ingress, found.isolation.egress, found.isolation.allow_same_namespace) == (
        True,
        False,
        False,
    )
    assert ["203.0.113.0/24 except 203.0.113.66/32", "2001:db8::/48 except 2001:db8:0:1::/64"] == list(
        map(str, found.clients.blocks[:2])
    )
    assert "::/0 except 2001:db8:0:1::/64" == str(found.clients.blocks[2])
    assert list(map(network, ["203.0.113.0/24", "2001:db8::/48", "::/0"])) == list(found.clients.cidrs)
    assert "Deny" == found.clients.unenforceable
    assert ("https", 8443, 1, 65535, "a-port-name-of-more-than-15-characters") == found.ports
    assert Peer(block=Block(network("10.0.0.0/8"), (network("10.1.0.0/16"),))) == found.peers[2]
    assert EVERYTHING == found.peers[0].pods
    assert (True, False) == (found.egress.dns, found.egress.api_server)
    assert (PolicyPort("TCP", 5432), PolicyPort("UDP", 8000, 8000), PolicyPort("SCTP"), PolicyPort("TCP", "http")) == (
        found.egress.to[0].ports
    )
    assert [Rule(None, (PolicyPort("TCP", 443),)), Rule(None, None), Rule(None, None)] == list(found.egress.to[1:])
    assert "aws-nlb-ip" == found.load_balancer.profile
    assert (network("10.0.32.0/20"),) == found.load_balancer.cidrs
    assert (network("10.0.48.0/20"),) == found.load_balancer.health_check_cidrs


def test_every_field_of_a_platform_team_is_read() -> None:
    """Each field of a ClusterExposurePolicy ends up in its place."""
    found = read_for_cluster(CLUSTER_EVERYTHING)
    assert found.namespace_selector.matches({"exposed": "yes"})
    assert ("kube-system",) == found.include_system_namespaces
    assert found.require_exposure_policy
    expected = Limits(
        (network("10.0.0.0/8"), network("2001:db8::/32")), (443, 8443), False, ("Enforce", "Audit", "Paused")
    )
    assert expected == found.limits


def test_silence() -> None:
    """An omitted field says nothing, and a null is an omission."""
    assert ExposureSpec() == read({}) == read({"mode": None, "clients": None, "ports": None, "services": None})
    assert ClusterSpec() == read_for_cluster({})
    assert Egress() == read({"egress": {}}).egress
    assert read({"loadBalancer": {"profile": "auto"}}).load_balancer.profile is None


@pytest.mark.parametrize(
    "remembered, accepted",
    [
        pytest.param({"generation": 2, "spec": {"ports": [80]}}, ExposureSpec(ports=(80,)), id="a-meaning"),
        pytest.param({"generation": 2, "spec": {"ports": ["80"]}}, Unreadable, id="one-that-cannot-be-read-any-longer"),
        pytest.param({"generation": 2}, Unreadable, id="none"),
        pytest.param({}, None, id="nothing-remembered"),
        pytest.param("all", None, id="nonsense"),
    ],
)
def test_the_last_accepted_meaning(remembered: Any, accepted: Any) -> None:
    """What status remembers is held to the same rules: what cannot be read never was accepted."""
    found = exposure_policy(policy(status={"lastAccepted": remembered})).last_accepted
    for_cluster = cluster_exposure_policy(cluster_policy(status={"lastAccepted": remembered})).last_accepted
    if accepted is None:
        assert found is None
        assert for_cluster is None
    elif accepted is Unreadable:
        assert isinstance(found and found.spec, Unreadable)
        assert isinstance(for_cluster and for_cluster.spec, Unreadable)
    else:
        assert found is not None
        assert (2, accepted) == (found.generation, found.spec)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
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
    found = read(spec)
    assert isinstance(found, ExposureSpec) or (found.field.startswith("spec") and found.message)


@given(spoilt(CLUSTER_EVERYTHING))
def test_nothing_crashes_the_reading_of_a_cluster_policy(spec: Any) -> None:
    """The same for the platform team's."""
    found = read_for_cluster(spec)
    assert isinstance(found, ClusterSpec) or (found.field.startswith("spec") and found.message)
