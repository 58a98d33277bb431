"""The order of a plan, in its text form: a row for each situation."""

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


def policy(
    name: str, pod_selector: dict[str, str], *rules: Rule, egress: tuple[Rule, ...] | None = None
) -> NetworkPolicy:
    return NetworkPolicy("shop", name, PolicySpec(selecting(pod_selector), rules, egress), (MANAGED_BY,))


def to(
    service: str, pod_selector: dict[str, str], *rules: Rule, egress: tuple[Rule, ...] | None = None
) -> NetworkPolicy:
    return policy(f"exposure-to-{service}", pod_selector, *rules, egress=egress)


FIVE = Rule(tuple(Peer(pods=selecting({"n": name})) for name in "abcde"), None)
DENY = policy(DEFAULT_DENY, {})
NEAR = policy(SAME_NAMESPACE, {}, NEIGHBOURS)
WEB, EDGE = to("web", {"app": "web"}, OFFICE), to("edge", {"tier": "edge"}, WORLD)
FOREIGN = NetworkPolicy("shop", "exposure-to-web", PolicySpec(EVERYTHING, (), None))
BOTH = Pod("shop", "web-1", (("app", "web"), ("tier", "edge")))


@pytest.mark.parametrize(
    "live, wanted, pods, text",
    [
        pytest.param(
            [], [DENY, WEB], [],
            """\
create shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443
create shop/exposure-default-deny  deny all ingress to every pod
""",
            id="adopting-admits-before-the-default-deny",
        ),
        pytest.param(
            [DENY, WEB], [], [],
            """\
delete shop/exposure-default-deny  no policy enforces anything in this namespace
delete shop/exposure-to-web        no policy enforces anything in this namespace
""",
            id="releasing-deletes-the-default-deny-first",
        ),
        pytest.param(
            [DENY, WEB], [DENY, WEB], [],
            """\
keep   shop/exposure-default-deny
keep   shop/exposure-to-web
""",
            id="nothing-to-do",
        ),
        pytest.param(
            [DENY, WEB], [DENY, to("web", {"app": "web"}, WORLD)], [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443
""",
            id="an-edit-of-one-policy-is-one-write",
        ),
        pytest.param(
            [], [DENY, NEAR, WEB], [],
            """\
create shop/exposure-to-web          from 203.0.113.0/24 to app=web tcp/8443; from every pod of this namespace to app=web every port (with what the other policies of these pods allow, until they are written)
create shop/exposure-same-namespace  from every pod of this namespace to every pod every port
create shop/exposure-default-deny    deny all ingress to every pod
update shop/exposure-to-web          from 203.0.113.0/24 to app=web tcp/8443 (the other policies are written)
""",  # noqa: E501
            id="the-first-policy-that-isolates-admits-neighbours-too",
        ),
        pytest.param(
            [WEB, to("all", {"app": "web", "tier": "edge"}, WORLD)], [], [],
            """\
update shop/exposure-to-all  from 0.0.0.0/0 to app=web,tier=edge tcp/8443; from 203.0.113.0/24 to app=web,tier=edge tcp/8443 (with what the other policies of these pods allow, until they are deleted)
delete shop/exposure-to-web  no policy enforces anything in this namespace
delete shop/exposure-to-all  no policy enforces anything in this namespace
""",  # noqa: E501
            id="the-last-policy-to-be-deleted-has-the-rules-of-the-others",
        ),
        pytest.param(
            [], [WEB, EDGE], [BOTH],
            """\
create shop/exposure-interim-1a7564dab3  from 0.0.0.0/0 to app=web,tier=edge tcp/8443; from 203.0.113.0/24 to app=web,tier=edge tcp/8443 (for pods that several policies share, until those are written or deleted)
create shop/exposure-to-edge             from 0.0.0.0/0 to tier=edge tcp/8443
create shop/exposure-to-web              from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-interim-1a7564dab3  an interim policy, no longer needed
""",  # noqa: E501
            id="pods-of-partly-overlapping-selectors-have-an-interim-policy",
        ),
        pytest.param(
            [], [WEB, EDGE], [],
            """\
create shop/exposure-to-edge  from 0.0.0.0/0 to tier=edge tcp/8443
create shop/exposure-to-web   from 203.0.113.0/24 to app=web tcp/8443
""",
            id="without-such-pods-there-is-no-interim-policy",
        ),
        pytest.param(
            [DENY, to("web", {"app": "web"}, WORLD), to("new", {"app": "web"}, OFFICE)],
            [DENY, to("web", {"app": "web"}, OFFICE), to("new", {"app": "web"}, WORLD)],
            [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-new        from 203.0.113.0/24 to app=web tcp/8443; from 0.0.0.0/0 to app=web tcp/8443 (with what the other policies of these pods allow, until they are written)
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443; from 203.0.113.0/24 to app=web tcp/8443 (with what the other policies of these pods allow, until they are written)
update shop/exposure-to-new        from 0.0.0.0/0 to app=web tcp/8443 (the other policies are written)
update shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443 (the other policies are written)
""",  # noqa: E501
            id="swapped-rules-are-added-before-they-are-removed",
        ),
        pytest.param(
            [DENY], [WEB], [],
            """\
create shop/exposure-to-web        from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-default-deny  the namespace is no longer isolated
""",
            id="the-default-deny-is-deleted-after-the-policies-of-services-are-created",
        ),
        pytest.param(
            [DENY, to("web", {"app": "web"}, OFFICE)], [DENY, to("www", {"app": "web"}, OFFICE)], [],
            """\
keep   shop/exposure-default-deny
create shop/exposure-to-www        from 203.0.113.0/24 to app=web tcp/8443
delete shop/exposure-to-web        no policy asks for it
""",
            id="a-renamed-service-has-its-new-policy-first",
        ),
        pytest.param(
            [DENY, WEB, to("db", {"app": "db"}, WORLD)],
            [DENY, to("web", {"app": "web"}, WORLD), to("db", {"app": "db"}, OFFICE)],
            [],
            """\
keep   shop/exposure-default-deny
update shop/exposure-to-db         from 203.0.113.0/24 to app=db tcp/8443
update shop/exposure-to-web        from 0.0.0.0/0 to app=web tcp/8443
""",
            id="edits-that-can-share-no-pod-are-one-write-each",
        ),
        pytest.param(
            [DENY], [DENY, to("web", {"app": "web"}, Rule(None, None), egress=())], [],
            """\
keep   shop/exposure-default-deny
create shop/exposure-to-web        from everyone to app=web every port; deny all egress from app=web
""",
            id="everyone-and-no-egress",
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
            id="a-direction-that-is-not-restricted",
        ),
        pytest.param(
            [FOREIGN], [DENY, WEB], [],
            """\
create shop/exposure-default-deny  deny all ingress to every pod
skip   shop/exposure-to-web        name conflict: the operator did not write this policy; rename or delete it
""",
            id="a-name-conflict-is-reported",
        ),
    ],
)  # fmt: skip
def test_a_plan_in_order(live: list[NetworkPolicy], wanted: list[NetworkPolicy], pods: list[Pod], text: str) -> None:
    """What admits before the default deny, the reverse on release, and no write for what is live already."""
    plan = make_plan(Resolution("shop", tuple(wanted), ()), {policy.name: policy for policy in live}, pods)
    assert text == plan_text(plan)


def test_a_paused_namespace_is_kept() -> None:
    """Every policy of the operator is kept, whatever is planned."""
    plan = make_plan(Resolution("shop", (WEB,), (), paused=True), {DENY.name: DENY})
    assert "keep   shop/exposure-default-deny  paused\n" == plan_text(plan)


def test_a_paused_policy_is_kept_while_others_change() -> None:
    """It still isolates its pods, and the order of the other writes follows from that."""
    frozen = frozenset({WEB.name})
    plan = make_plan(Resolution("shop", (DENY,), (), frozen=frozen), {WEB.name: WEB})
    assert (
        "keep   shop/exposure-to-web        paused\ncreate shop/exposure-default-deny  deny all ingress to every pod\n"
        == plan_text(plan)
    )


def test_labels_and_owners_alone_are_one_update() -> None:
    """Where nothing else differs, the policy is written once and admits the same."""
    bare = NetworkPolicy("shop", WEB.name, WEB.spec, (MANAGED_BY,))
    owned = NetworkPolicy("shop", WEB.name, WEB.spec, (("exposure.dev/service", "web"), MANAGED_BY))
    plan = make_plan(Resolution("shop", (owned,), ()), {WEB.name: bare})
    assert [("update", owned, bare)] == [(change.verb, change.policy, change.live) for change in plan.changes]


def test_egress_is_removed_before_ingress_is_added() -> None:
    """Else a pod that is about to lose egress could for a moment use an entry point that has just been opened."""
    before = [DENY, to("web", {"app": "web"}, egress=(NEIGHBOURS,)), to("db", {"app": "db"})]
    after = [DENY, to("web", {"app": "web"}, egress=()), to("db", {"app": "db"}, NEIGHBOURS)]
    plan = make_plan(Resolution("shop", tuple(after), ()), {policy.name: policy for policy in before})
    assert ["exposure-to-web", "exposure-to-db"] == [change.name for change in plan.writes]
    plan = make_plan(Resolution("shop", tuple(before), ()), {policy.name: policy for policy in after})
    assert ["exposure-to-db", "exposure-to-web"] == [change.name for change in plan.writes]
    before.remove(to("db", {"app": "db"}))
    plan = make_plan(Resolution("shop", tuple(after), ()), {policy.name: policy for policy in before})
    assert ["exposure-to-web", "exposure-to-db"] == [change.name for change in plan.writes]


def test_directions_that_both_add_and_remove_are_written_together() -> None:
    """No order is right for every pair of pods. The guarantee is for each end on its own."""
    before = [DENY, to("web", {"app": "web"}, egress=(NEIGHBOURS,)), to("db", {"app": "db"}, OFFICE)]
    after = [DENY, to("web", {"app": "web"}, egress=(FIVE,)), to("db", {"app": "db"}, NEIGHBOURS)]
    plan = make_plan(Resolution("shop", tuple(after), ()), {policy.name: policy for policy in before})
    assert ["exposure-to-db", "exposure-to-web"] == [change.name for change in plan.writes]


def test_a_policy_with_another_selector_leaves_an_interim_copy() -> None:
    """While other policies of the same pods change, the pods that it no longer selects keep its rules by a copy."""
    live = [DENY, WEB]
    wanted = [DENY, to("web", {"release": "2"}, OFFICE), to("api", {"app": "api"}, WORLD)]
    first = make_plan(Resolution("shop", tuple(wanted), ()), {policy.name: policy for policy in live})
    interim = next(change for change in first.writes if change.name.startswith("exposure-interim-"))
    assert (first.writes[0], WEB.spec.pod_selector) == (interim, interim.policy.spec.pod_selector)
    assert [("delete", interim.name)] == [(c.verb, c.name) for c in first.writes if c.name == interim.name][1:]
    # Interrupted after the first write: the live copy is not a copy of what the second plan has to keep.
    again = make_plan(
        Resolution("shop", tuple(wanted), ()), {policy.name: policy for policy in [*live, interim.policy]}
    )
    names = {change.name for change in again.writes if change.verb == "create"}
    assert [] == [name for name in names if name == interim.name]
    assert [name for name in names if name.startswith("exposure-interim-")]
