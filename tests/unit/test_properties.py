"""What holds in every world, however Services, policies, limits and clusters are combined."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exposure.addresses import address, network
from exposure.model.exposures import Resolution
from tests.examples import examples
from tests.unit.small_snapshots import NARROWINGS, NODES, OUTSIDE, Small, all_rules, let_in, narrower, small_snapshots
from tests.unit.snapshots import named, pod, policy, resolved, service, the_exposure

OPENING = {"SourceFilterLost", "SourceRangesUnenforced", "LoadBalancerAddressesRequired"}


def outcome(small: Small) -> Resolution:
    return resolved(*small.objects(), **small.network)


@examples(200)
@given(small_snapshots())
def test_nothing_is_empty_by_accident(small: Small) -> None:
    """An empty list means everything in a NetworkPolicy, so none is ever emitted, nor one that is left out."""
    found = outcome(small)
    for each in found.policies:
        namespace_wide = each.name in ("exposure-default-deny", "exposure-same-namespace")
        assert namespace_wide == each.spec.pod_selector.empty
        assert (each.spec.ingress, each.spec.egress) != (None, None)
    for each, way, rule in all_rules(found):
        assert rule.peers, f"{each.name}: {way} to or from everyone"
        assert rule.ports != ()
        if way == "ingress" and rule.ports is None:
            # Only neighbours are let in at every port.
            assert ["every pod of this namespace"] == list(map(str, rule.peers))


@examples(200)
@given(small_snapshots())
def test_sources_are_never_wider_than_intent(small: Small) -> None:
    """An outside address that is let in was asked for, or a blind spot says that it could not be kept out."""
    found = outcome(small)
    for policy_, way, rule in all_rules(found):
        if way != "ingress" or not policy_.name.startswith("exposure-to-"):
            continue
        name = policy_.name.removeprefix("exposure-to-")
        exposure = the_exposure(found, f"service-{name}")
        governing = exposure.policy
        assert governing is not None
        allowed = asked_for(small, name, governing.name)
        told = {spot.reason for spot in exposure.blind_spots} & OPENING
        for at in OUTSIDE:
            let = any(p.block is not None and admits(p.block, at) for p in rule.peers or ())
            assert not let or allowed(at) or told, f"{at} passes {policy_.name}, and nothing says so"


def admits(block: Any, at: str) -> bool:
    found = address(at)
    return found in block.cidr and not any(found in cut for cut in block.excepts)


def asked_for(small: Small, name: str, governing: str) -> Any:
    """Whether an outside address is one of the clients of the governing policy inside its limits, or the balancer's."""
    spec = small.policies.get(governing)
    if spec is None:
        assert small.platform is not None
        spec = small.platform["defaults"]
    clients = spec.get("clients", {}).get("cidrs")
    bound = ((small.platform or {}).get("limits", {}).get("clients") or {}).get("cidrs")
    balancer = [*small.network["loadBalancerCIDRs"], *spec.get("loadBalancer", {}).get("cidrs", ())]
    own = next(each for each in small.services if each["metadata"]["name"] == name)
    ranges = None
    if "NodePort" not in spec.get("entryPoints", ()):
        ranges = own["spec"].get("loadBalancerSourceRanges")

    def is_in(at: str, cidrs: Any) -> bool:
        return not cidrs or any(address(at) in network(each) for each in cidrs)

    def answer(at: str) -> bool:
        if balancer and is_in(at, balancer):
            return True
        return is_in(at, clients) and is_in(at, bound) and is_in(at, ranges)

    return answer


@pytest.mark.parametrize("by", NARROWINGS)
@examples(40)
@given(small=small_snapshots(), data=st.data())
def test_more_restrictive_intent_never_opens(by: str, small: Small, data: st.DataObject) -> None:
    """Whatever a person narrows, no connection gets through that did not before.

    What its limits refuse as a whole grants nothing, and may be accepted once it is narrowed: that is left out here.
    """
    name = data.draw(st.sampled_from(sorted(small.policies)))
    before = small.policies[name]
    if by == "clients":
        # Narrower than what was written only where that held the range, or nothing was written.
        written = before.get("clients", {}).get("cidrs")
        assume(not written or any(network("203.0.113.0/25").subnet_of(network(c)) for c in written if ":" not in c))  # type: ignore[arg-type]
    found = outcome(small)
    assume(all(each.verdict.accepted for each in found.outcomes))
    assume(not any(each.refusal.startswith("limits.") for each in found.exposures))
    after = replace(small, policies={**small.policies, name: narrower(before, by)})
    assert set() == beyond_clients(outcome(after), small, name, by) - beyond_clients(found, small, name, by)


def beyond_clients(found: Resolution, small: Small, name: str, by: str) -> set[Any]:
    """Every connection that gets through; where `unenforceable: Deny` may act, those of asked-for clients are left out.

    It puts the clients themselves in the place of the nodes that hid them: nobody new, but by another address.
    """
    clients = small.policies[name].get("clients", {})
    cidrs = [network(each) for each in clients.get("cidrs", ["0.0.0.0/0", "::/0"])]
    denies = by == "deny-what-cannot-be-held" or "unenforceable" in clients
    return {
        (index, caller, port)
        for index, caller, port in let_in(found)
        if not (denies and caller.at and any(address(caller.at) in each for each in cidrs))
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
    """The platform team narrows, and what was refused stays refused."""
    platform = {**(small.platform or {}), "limits": {}}
    for limit in (small.platform or {}).get("limits", {}).items():
        assume(limit[0] not in tighter)
        platform["limits"][limit[0]] = limit[1]
    before = replace(small, platform=platform)
    after = replace(small, platform={**platform, "limits": {**platform["limits"], **tighter}})
    found = outcome(before)
    assume(not any(each.refusal.startswith("limits.") for each in found.exposures))
    assume(all(each.verdict.accepted for each in found.outcomes))
    assume("Deny" not in str((before.policies, before.platform)))
    assert set() == let_in(outcome(after)) - let_in(found)


@examples(60)
@given(small_snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_inputs_never_matters(small: Small, random: Any) -> None:
    """Files, lists and watches bring objects in any order."""
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
    """What stands in another namespace and leads nowhere near is not looked at."""
    assert outcome(small) == resolved(*small.objects(), *others, **small.network)


@examples(60)
@given(small_snapshots())
def test_an_isolated_pod_that_nothing_exposes_hears_nobody(small: Small) -> None:
    """Where ingress is isolated, what gets through is granted by some rule: never by the lack of a policy."""
    found = outcome(small)
    if any(each.name == "exposure-default-deny" and each.spec.ingress == () for each in found.policies):
        granted = [rule for _, way, rule in all_rules(found) if way == "ingress"]
        assert bool(granted) or set() == let_in(found)


@examples(60)
@given(small_snapshots())
def test_node_addresses_come_in_by_name_alone(small: Small) -> None:
    """Where nobody asked for the whole internet, a node is let in as N, and the loss of the filter is told."""
    found = outcome(small)
    for each in found.exposures:
        blocks = [block for source in each.sources for block in source.blocks if source.kind in "CLH"]
        wide = any(block.cidr.prefixlen == 0 for block in blocks)
        lets_nodes = any(admits(block, at) for block in blocks for at in NODES[:2])
        assert not lets_nodes or wide
