"""The order of a plan, in its own words: one table a story."""

import pytest

from exposure.addresses import block, network
from exposure.labels import EVERYTHING, selecting
from exposure.model.exposures import Resolution
from exposure.model.objects import Pod
from exposure.networkpolicy.values import MANAGED_BY, NetworkPolicy, Peer, PolicyPort, PolicySpec, Rule
from exposure.plan.changes import make_plan
from exposure.plan.text import plan_text
from exposure.resolve.network_policies import DEFAULT_DENY, SAME_NAMESPACE


def rule(cidr: str, port: int = 8443) -> Rule:
    return Rule((Peer(block(network(cidr))),), (PolicyPort("TCP", port),))


OFFICE, WORLD = rule("203.0.113.0/24"), rule("0.0.0.0/0")
NEIGHBOURS = Rule((Peer(pods=EVERYTHING),), None)


def policy(name: str, subject: dict[str, str], *rules: Rule, egress: tuple[Rule, ...] | None = None) -> NetworkPolicy:
    return NetworkPolicy("shop", name, PolicySpec(selecting(subject), rules, egress), (MANAGED_BY,))


def to(service: str, subject: dict[str, str], *rules: Rule, egress: tuple[Rule, ...] | None = None) -> NetworkPolicy:
    return policy(f"exposure-to-{service}", subject, *rules, egress=egress)


FIVE = Rule(tuple(Peer(pods=selecting({"n": name})) for name in "abcde"), None)
WALL = policy(DEFAULT_DENY, {})
NEAR = policy(SAME_NAMESPACE, {}, NEIGHBOURS)
WEB, EDGE = to("web", {"app": "web"}, OFFICE), to("edge", {"tier": "edge"}, WORLD)
THEIRS = NetworkPolicy("shop", "exposure-to-web", PolicySpec(EVERYTHING, (), None))
BOTH = Pod("shop", "web-1", (("app", "web"), ("tier", "edge")))


@pytest.mark.parametrize(
    "live, wanted, pods, text",
    [
        pytest.param(
            [], [WALL, WEB], [],
            """\
create shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443
create shop/exposure-default-deny  deny all ingress to every pod
""",
            id="adopting-opens-the-entry-point-before-the-wall-stands",
        ),
        pytest.param(
            [WALL, WEB], [], [],
            """\
delete shop/exposure-default-deny  no policy enforces anything in this namespace
delete shop/exposure-to-web        no policy enforces anything in this namespace
""",
            id="releasing-takes-the-wall-before-the-entry-point",
        ),
        pytest.param(
            [WALL, WEB], [WALL, WEB], [],
            """\
keep   shop/exposure-default-deny
keep   shop/exposure-to-web
""",
            id="nothing-to-do-is-said-as-well",
        ),
        pytest.param(
            [WALL, WEB], [WALL, to("web", {"app": "web"}, WORLD)], [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443
""",
            id="an-edit-of-one-policy-is-one-write",
        ),
        pytest.param(
            [], [WALL, NEAR, WEB], [],
            """\
create shop/exposure-to-web          from 203.0.113.0/24 to app=web tcp/8443; from every pod of this namespace to app=web every port (with what the other policies of these pods allow, until they are written)
create shop/exposure-same-namespace  from every pod of this namespace to every pod every port
create shop/exposure-default-deny    deny all ingress to every pod
update shop/exposure-to-web          from 203.0.113.0/24 to app=web tcp/8443 (the other policies are written)
""",  # noqa: E501
            id="neighbours-are-let-in-by-whoever-closes-first",
        ),
        pytest.param(
            [WEB, to("all", {"app": "web", "tier": "edge"}, WORLD)], [], [],
            """\
update shop/exposure-to-all  from 0.0.0.0/0 to app=web,tier=edge tcp/8443; from 203.0.113.0/24 to app=web,tier=edge tcp/8443 (with what the other policies of these pods allow, until they are deleted)
delete shop/exposure-to-web  no policy enforces anything in this namespace
delete shop/exposure-to-all  no policy enforces anything in this namespace
""",  # noqa: E501
            id="the-last-to-go-holds-what-the-others-gave",
        ),
        pytest.param(
            [], [WEB, EDGE], [BOTH],
            """\
create shop/exposure-interim-1a7564dab3  from 0.0.0.0/0 to app=web,tier=edge tcp/8443; from 203.0.113.0/24 to app=web,tier=edge tcp/8443 (for pods that several policies share, until those are written or deleted)
create shop/exposure-to-edge             from 0.0.0.0/0 to tier=edge tcp/8443
create shop/exposure-to-web              from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-interim-1a7564dab3  an interim policy, no longer needed
""",  # noqa: E501
            id="pods-shared-by-selectors-that-overlap-in-part-get-a-bridge",
        ),
        pytest.param(
            [], [WEB, EDGE], [],
            """\
create shop/exposure-to-edge  from 0.0.0.0/0 to tier=edge tcp/8443
create shop/exposure-to-web   from 203.0.113.0/24 to app=web tcp/8443
""",
            id="without-such-pods-there-is-nothing-to-bridge",
        ),
        pytest.param(
            [WALL, to("web", {"app": "web"}, WORLD), to("new", {"app": "web"}, OFFICE)],
            [WALL, to("web", {"app": "web"}, OFFICE), to("new", {"app": "web"}, WORLD)],
            [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-new        from 203.0.113.0/24 to app=web tcp/8443; from 0.0.0.0/0 to app=web tcp/8443 (with what the other policies of these pods allow, until they are written)
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443; from 203.0.113.0/24 to app=web tcp/8443 (with what the other policies of these pods allow, until they are written)
update shop/exposure-to-new        from 0.0.0.0/0 to app=web tcp/8443 (the other policies are written)
update shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443 (the other policies are written)
""",  # noqa: E501
            id="rules-that-change-places-are-given-before-they-are-taken",
        ),
        pytest.param(
            [WALL], [WEB], [],
            """\
create shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-default-deny  the namespace is no longer isolated
""",
            id="a-wall-goes-when-every-new-wall-of-a-service-stands",
        ),
        pytest.param(
            [WALL, to("web", {"app": "web"}, OFFICE)], [WALL, to("www", {"app": "web"}, OFFICE)], [],
            """\
keep   shop/exposure-default-deny
create shop/exposure-to-www        from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-to-web        no policy asks for it
""",
            id="a-renamed-service-is-given-before-it-is-taken",
        ),
        pytest.param(
            [WALL, WEB, to("db", {"app": "db"}, WORLD)],
            [WALL, to("web", {"app": "web"}, WORLD), to("db", {"app": "db"}, OFFICE)],
            [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-db         from 203.0.113.0/24 to app=db tcp/8443
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443
""",
            id="edits-that-can-share-no-pod-are-one-write-each",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, Rule(None, None), egress=())], [],
            """\
keep   shop/exposure-default-deny
create shop/exposure-to-web        from everyone to app=web every port; deny all egress from app=web
""",
            id="everyone-and-nowhere-are-said",
        ),
        pytest.param(
            [], [to("web", {"app": "web"}, egress=(FIVE,))], [],
            """\
create shop/exposure-to-web  deny all ingress to app=web; from app=web to pods n=a of this namespace, pods n=b of this namespace, pods n=c of this namespace, pods n=d of this namespace and 1 more every port
""",  # noqa: E501
            id="long-lists-of-peers-are-cut",
        ),
        pytest.param(
            [], [NetworkPolicy("shop", "exposure-to-web", PolicySpec(EVERYTHING, None, ()), (MANAGED_BY,))], [],
            """\
create shop/exposure-to-web  deny all egress from every pod
""",
            id="a-direction-that-is-not-restricted-is-not-spoken-of",
        ),
        pytest.param(
            [THEIRS], [WALL, WEB], [],
            """\
create shop/exposure-default-deny  deny all ingress to every pod
skip   shop/exposure-to-web        name conflict: the operator did not write this policy; rename or delete it
""",
            id="what-is-not-ours-is-told-and-left",
        ),
    ],
)  # fmt: skip
def test_a_plan_in_order(live: list[NetworkPolicy], wanted: list[NetworkPolicy], pods: list[Pod], text: str) -> None:
    """Entry points before walls, the reverse on release, and nothing written that stands already."""
    plan = make_plan(Resolution("shop", tuple(wanted), ()), {each.name: each for each in live}, pods)
    assert text == plan_text(plan)


def test_a_paused_namespace_is_left_alone() -> None:
    """Everything of ours is kept, whatever is wanted."""
    plan = make_plan(Resolution("shop", (WEB,), (), paused=True), {WALL.name: WALL})
    assert "keep   shop/exposure-default-deny  paused\n" == plan_text(plan)


def test_a_paused_policy_is_left_alone_while_others_move() -> None:
    """What is frozen is kept; it closes its pods all the while, and counts as that."""
    frozen = frozenset({WEB.name})
    plan = make_plan(Resolution("shop", (WALL,), (), frozen=frozen), {WEB.name: WEB})
    assert (
        "keep   shop/exposure-to-web        paused\ncreate shop/exposure-default-deny  deny all ingress to every pod\n"
        == plan_text(plan)
    )


def test_labels_and_owners_are_put_right_last() -> None:
    """Where only they differ, the policy is written once, and means the same all the while."""
    bare = NetworkPolicy("shop", WEB.name, WEB.spec, (MANAGED_BY,))
    owned = NetworkPolicy("shop", WEB.name, WEB.spec, (("exposure.dev/service", "web"), MANAGED_BY))
    plan = make_plan(Resolution("shop", (owned,), ()), {WEB.name: bare})
    assert [("update", owned, bare)] == [(each.verb, each.policy, each.live) for each in plan.changes]


def test_egress_goes_before_ingress_where_one_takes_and_the_other_gives() -> None:
    """Otherwise a pod that is about to lose its egress could briefly use an entry point that is just being opened."""
    before = [WALL, to("web", {"app": "web"}, egress=(NEIGHBOURS,)), to("db", {"app": "db"})]
    after = [WALL, to("web", {"app": "web"}, egress=()), to("db", {"app": "db"}, NEIGHBOURS)]
    plan = make_plan(Resolution("shop", tuple(after), ()), {each.name: each for each in before})
    assert ["exposure-to-web", "exposure-to-db"] == [change.name for change in plan.writes]
    plan = make_plan(Resolution("shop", tuple(before), ()), {each.name: each for each in after})
    assert ["exposure-to-db", "exposure-to-web"] == [change.name for change in plan.writes]
    before.remove(to("db", {"app": "db"}))
    plan = make_plan(Resolution("shop", tuple(after), ()), {each.name: each for each in before})
    assert ["exposure-to-web", "exposure-to-db"] == [change.name for change in plan.writes]


def test_directions_that_both_give_and_take_are_written_together() -> None:
    """No order is right for every pair of pods, and each end by itself is all that is promised."""
    before = [WALL, to("web", {"app": "web"}, egress=(NEIGHBOURS,)), to("db", {"app": "db"}, OFFICE)]
    after = [WALL, to("web", {"app": "web"}, egress=(FIVE,)), to("db", {"app": "db"}, NEIGHBOURS)]
    plan = make_plan(Resolution("shop", tuple(after), ()), {each.name: each for each in before})
    assert ["exposure-to-db", "exposure-to-web"] == [change.name for change in plan.writes]


def test_a_policy_that_changes_its_pods_leaves_a_copy_behind_until_all_is_given() -> None:
    """While others move that may share pods with it, the pods it leaves keep what they had under another name."""
    live = [WALL, WEB]
    wanted = [WALL, to("web", {"release": "2"}, OFFICE), to("api", {"app": "api"}, WORLD)]
    first = make_plan(Resolution("shop", tuple(wanted), ()), {each.name: each for each in live})
    bridge = next(change for change in first.writes if change.name.startswith("exposure-interim-"))
    assert (first.writes[0], WEB.spec.pod_selector) == (bridge, bridge.policy.spec.pod_selector)
    assert [("delete", bridge.name)] == [(c.verb, c.name) for c in first.writes if c.name == bridge.name][1:]
    # Broken off after the first write: the copy that stands already is no copy of what is left behind now.
    again = make_plan(Resolution("shop", tuple(wanted), ()), {each.name: each for each in [*live, bridge.policy]})
    names = {change.name for change in again.writes if change.verb == "create"}
    assert [] == [name for name in names if name == bridge.name]
    assert [name for name in names if name.startswith("exposure-interim-")]
