"""What holds for every combination of Services, policies, limits and clusters."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exposure.addresses import address, network
from exposure.model.exposures import Resolution, SourceKind
from tests.examples import examples
from tests.unit.small_snapshots import (
    NARROWINGS,
    NODES,
    OUTSIDE,
    Small,
    admitted_connections,
    all_rules,
    narrower,
    small_snapshots,
)
from tests.unit.snapshots import named, pod, policy, resolved, service, the_exposure

#: The sources that have addresses and are no nodes.
OTHER_KINDS = {SourceKind.CLIENTS, SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS}
OPENING = {"SourceFilterLost", "SourceRangesUnenforced", "LoadBalancerAddressesRequired"}


def outcome(small: Small) -> Resolution:
    return resolved(*small.objects(), **small.network)


@examples(200)
@given(small_snapshots())
def test_no_list_of_a_policy_is_empty_by_mistake(small: Small) -> None:
    """In a NetworkPolicy an empty or omitted list means everything."""
    resolution = outcome(small)
    for policy_ in resolution.policies:
        namespace_wide = policy_.name in ("exposure-default-deny", "exposure-same-namespace")
        assert namespace_wide == policy_.spec.pod_selector.empty
        assert (policy_.spec.ingress, policy_.spec.egress) != (None, None)
    for policy_, way, rule in all_rules(resolution):
        assert rule.peers, f"{policy_.name}: {way} to or from everyone"
        assert rule.ports != ()
        if way == "ingress" and rule.ports is None:
            # Only pods of the namespace are admitted at every port.
            assert ["every pod of this namespace"] == list(map(str, rule.peers))


@examples(200)
@given(small_snapshots())
def test_sources_are_never_wider_than_intent(small: Small) -> None:
    """An outside address that is admitted is a client, or a blind blind_spot reports that it cannot be excluded."""
    resolution = outcome(small)
    for policy_, way, rule in all_rules(resolution):
        if way != "ingress" or not policy_.name.startswith("exposure-to-"):
            continue
        name = policy_.name.removeprefix("exposure-to-")
        exposure = the_exposure(resolution, f"service-{name}")
        governing = exposure.policy
        assert governing is not None
        allowed = is_intended(small, name, governing.name)
        reported = {blind_spot.reason for blind_spot in exposure.blind_spots} & OPENING
        for at in OUTSIDE:
            admitted = any(p.block is not None and admits(p.block, at) for p in rule.peers or ())
            assert not admitted or allowed(at) or reported, f"{at} is admitted by {policy_.name}, and not reported"


def admits(block: Any, at: str) -> bool:
    parsed = address(at)
    return parsed in block.cidr and not any(parsed in cut for cut in block.excepts)


def is_intended(small: Small, name: str, governing: str) -> Any:
    """Whether an outside address is a client of the governing policy within its limits, or of its load balancer."""
    spec = small.policies.get(governing)
    if spec is None:
        assert small.platform is not None
        spec = small.platform["defaults"]
    clients = spec.get("clients", {}).get("cidrs")
    bound = ((small.platform or {}).get("limits", {}).get("clients") or {}).get("cidrs")
    balancer = [*small.network["loadBalancerCIDRs"], *spec.get("loadBalancer", {}).get("cidrs", ())]
    own = next(service for service in small.services if service["metadata"]["name"] == name)
    ranges = None
    if "NodePort" not in spec.get("entryPoints", ()):
        ranges = own["spec"].get("loadBalancerSourceRanges")

    def is_in(at: str, cidrs: Any) -> bool:
        return not cidrs or any(address(at) in network(cidr) for cidr in cidrs)

    def answer(at: str) -> bool:
        if balancer and is_in(at, balancer):
            return True
        return is_in(at, clients) and is_in(at, bound) and is_in(at, ranges)

    return answer


@pytest.mark.parametrize("by", NARROWINGS)
@examples(40)
@given(small=small_snapshots(), data=st.data())
def test_more_restrictive_intent_never_opens(by: str, small: Small, data: st.DataObject) -> None:
    """Whatever is narrowed, no connection passes that did not before.

    A policy outside its limits admits nothing, and may be accepted once it is narrowed: such cases are left out.
    """
    name = data.draw(st.sampled_from(sorted(small.policies)))
    before = small.policies[name]
    if by == "clients":
        # Narrower than what was written only where that held the range, or nothing was written.
        written = before.get("clients", {}).get("cidrs")
        assume(not written or any(network("203.0.113.0/25").subnet_of(network(c)) for c in written if ":" not in c))  # type: ignore[arg-type]
    resolution = outcome(small)
    assume(all(outcome_.verdict.accepted for outcome_ in resolution.outcomes))
    assume(not any(exposure.refusal.startswith("limits.") for exposure in resolution.exposures))
    after = replace(small, policies={**small.policies, name: narrower(before, by)})
    assert set() == beyond_clients(outcome(after), small, name, by) - beyond_clients(resolution, small, name, by)


def beyond_clients(resolution: Resolution, small: Small, name: str, by: str) -> set[Any]:
    """Every admitted connection; where `unenforceable: Deny` may apply, those of intended clients are left out.

    It admits the clients by their own addresses in place of the nodes' addresses that hid them.
    """
    clients = small.policies[name].get("clients", {})
    cidrs = [network(cidr) for cidr in clients.get("cidrs", ["0.0.0.0/0", "::/0"])]
    denies = by == "deny-what-cannot-be-held" or "unenforceable" in clients
    return {
        (index, caller, port)
        for index, caller, port in admitted_connections(resolution)
        if not (denies and caller.at and any(address(caller.at) in cidr for cidr in cidrs))
    }


@examples(60)
@given(
    small_snapshots(),
    st.sampled_from(
        [
            {"clients": {"cidrs": ["203.0.113.0/25"]}},
            {"ports": [80]},
            {"allowPublic": False},
            {"clients": {"cidrs": ["198.51.100.0/24"]}, "ports": [53], "allowPublic": False},
        ]
    ),
)
def test_tighter_limits_never_open(small: Small, tighter: Any) -> None:
    """What was refused stays refused."""
    platform = {**(small.platform or {}), "limits": {}}
    for limit in (small.platform or {}).get("limits", {}).items():
        assume(limit[0] not in tighter)
        platform["limits"][limit[0]] = limit[1]
    before = replace(small, platform=platform)
    after = replace(small, platform={**platform, "limits": {**platform["limits"], **tighter}})
    resolution = outcome(before)
    assume(not any(exposure.refusal.startswith("limits.") for exposure in resolution.exposures))
    assume(all(outcome_.verdict.accepted for outcome_ in resolution.outcomes))
    assume("Deny" not in str((before.policies, before.platform)))
    assert set() == admitted_connections(outcome(after)) - admitted_connections(resolution)


@examples(60)
@given(small_snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_inputs_never_matters(small: Small, random: Any) -> None:
    """Files, lists and watches have objects in any order."""
    objects = small.objects()
    shuffled = objects[:]
    random.shuffle(shuffled)
    assert resolved(*objects, **small.network) == resolved(*shuffled, **small.network)


UNRELATED = [
    named("Namespace", "other", labels={"team": "b"}),
    service("web", ip="203.0.113.201") | {"metadata": {"name": "web", "namespace": "other", "uid": "x"}},
    policy("edge", namespace="other", clients={"cidrs": ["0.0.0.0/0"]}),
    pod("web-1", namespace="other", ip="10.244.1.77"),
    named("NetworkPolicy", "theirs", {"podSelector": {}, "ingress": [{}]}, namespace="other"),
    named("IngressClass", "unused", {"controller": "example.com/unused"}),
    named("Ingress", "elsewhere", {"rules": []}, namespace="other"),
]


@examples(60)
@given(small_snapshots(), st.lists(st.sampled_from(UNRELATED), min_size=1, unique_by=id))
def test_unrelated_objects_change_nothing(small: Small, others: Any) -> None:
    """Objects of another namespace that do not lead here do not count."""
    assert outcome(small) == resolved(*small.objects(), *others, **small.network)


@examples(60)
@given(small_snapshots())
def test_an_isolated_pod_without_a_rule_is_not_reachable(small: Small) -> None:
    """Where ingress is isolated, a rule admits every connection that passes."""
    resolution = outcome(small)
    if any(policy_.name == "exposure-default-deny" and policy_.spec.ingress == () for policy_ in resolution.policies):
        ingress_rules = [rule for _, way, rule in all_rules(resolution) if way == "ingress"]
        assert bool(ingress_rules) or set() == admitted_connections(resolution)


@examples(60)
@given(small_snapshots())
def test_node_addresses_are_admitted_as_nodes_only(small: Small) -> None:
    """No other kind of source has a node's address, unless it is a whole address family."""
    resolution = outcome(small)
    for exposure in resolution.exposures:
        blocks = [block for source in exposure.sources for block in source.blocks if source.kind in OTHER_KINDS]
        wide = any(block.cidr.prefixlen == 0 for block in blocks)
        admits_nodes = any(admits(block, at) for block in blocks for at in NODES[:2])
        assert not admits_nodes or wide
