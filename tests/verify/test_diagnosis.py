"""Causes of mismatches, computed from manifests and outcomes alone. With real packets: test_verify_in_the_lab.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from exposure.model.objects import Service, ServicePort
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy, PolicyPort, Rule
from exposure.verify.context import VerificationContext
from exposure.verify.diagnosis import (
    NAME_NOT_RESOLVED,
    NOT_HELD,
    SILENCE_OVER_UDP,
    diagnosed,
    drift,
    judged,
)
from exposure.verify.expectation import Connection
from exposure.verify.targets import outside_targets
from exposure.verify.values import Cause, Check, Outcome, ProbeOutcome, Target, Vantage
from tests.verify.test_expectation import NARROW, snapshot_of

CLIENT, STRANGER = "192.168.1.7", "192.168.2.7"
Policies = Mapping[str, NetworkPolicy]
Change = Callable[[Policies], Policies]


def as_planned(policies: Policies) -> Policies:
    return policies


def none_live(policies: Policies) -> Policies:
    return {}


def ingress(policies: Policies, *rules: Rule) -> Policies:
    """The same, with other ingress rules in the policy of the Service."""
    grant = policies["exposure-to-web"]
    return {**policies, grant.name: replace(grant, spec=replace(grant.spec, ingress=rules))}


def everyone_admitted(policies: Policies) -> Policies:
    return ingress(policies, Rule(None, None))


def no_one_admitted(policies: Policies) -> Policies:
    return ingress(policies)


def foreign_allow_all(policies: Policies) -> Policies:
    foreign = replace(everyone_admitted(policies)["exposure-to-web"], name="allow-all", labels=())
    return {**policies, foreign.name: foreign}


def service_port(policies: Policies) -> Policies:
    [rule] = policies["exposure-to-web"].spec.ingress or ()
    return ingress(policies, replace(rule, ports=(PolicyPort("TCP", 80),)))


def without_nodes(policies: Policies) -> Policies:
    [rule] = policies["exposure-to-web"].spec.ingress or ()
    clients = tuple(peer for peer in rule.peers or () if "10.0.0." not in str(peer))
    return ingress(policies, replace(rule, peers=clients))


def context_of(snapshot: Snapshot, change: Change) -> VerificationContext:
    """What follows from the snapshot is live, with a change."""
    planned = {policy.name: policy for policy in VerificationContext(snapshot).policies(["shop"])}
    return VerificationContext(replace(snapshot, network_policies={"shop": change(planned)}))


@dataclass(frozen=True)
class Beside:
    """What else was observed in the run."""

    node_ports: Mapping[str, Outcome] = field(default_factory=dict)
    denials_held: bool = False


def checked(
    context: VerificationContext,
    client: str,
    outcomes: tuple[Outcome, ...],
    beside: Beside,
    protocol: str = "TCP",
) -> Check:
    [target] = outside_targets(context, context.exposures(["shop"]))
    target = replace(target, service_port=replace(target.service_port, protocol=protocol))
    vantage = Vantage("outside", (client,))
    check = judged(target, vantage, Connection(context, target, vantage).expected(), ProbeOutcome(outcomes))
    return diagnosed(context, check, beside.node_ports, beside.denials_held)


def with_node_ports(outcome: Outcome) -> Beside:
    return Beside(node_ports={"10.0.0.11": outcome})


HELD = Beside(denials_held=True)
ALONE = Beside()


@pytest.mark.parametrize(
    "traffic, change, client, outcomes, beside, reason, words",
    [
        pytest.param(
            "Local", as_planned, STRANGER, ("open",), ALONE, "NotEnforced", "The CNI of this cluster", id="no-cni"
        ),
        pytest.param(
            "Local", as_planned, STRANGER, ("open",), HELD, "NotEnforced", "on the nodes of these", id="one-node"
        ),
        pytest.param(
            "Local", foreign_allow_all, STRANGER, ("open",), ALONE, "AdditivePolicy", "shop/allow-all", id="foreign"
        ),
        pytest.param(
            "Local", none_live, STRANGER, ("open",), ALONE, "PolicyMissing", "shop/exposure-to-web", id="missing"
        ),
        pytest.param("Local", everyone_admitted, STRANGER, ("open",), ALONE, "PolicyDiffers", "admit more", id="wider"),
        pytest.param(
            "Local", no_one_admitted, CLIENT, ("silent",), ALONE, "PolicyDiffers", "deny what the plan", id="narrower"
        ),
        pytest.param(
            "Local", service_port, CLIENT, ("silent",), ALONE, "ServicePortInPolicy", "listen on 8080", id="port"
        ),
        pytest.param(
            "Cluster",
            without_nodes,
            CLIENT,
            ("open", "silent"),
            ALONE,
            "NodeAddressesMissing",
            "(10.0.0.11, 10.0.0.12)",
            id="nodes",
        ),
        pytest.param(
            "Local", as_planned, CLIENT, ("open", "silent"), ALONE, "SomeBackendsFail", "1 of 2 connections", id="some"
        ),
        pytest.param(
            "Local", as_planned, CLIENT, ("refused",), ALONE, "TargetPortClosed", "target port 8080", id="closed"
        ),
        pytest.param(
            "Local", as_planned, CLIENT, ("silent",), ALONE, "Unreachable", "a firewall, a missing", id="silent"
        ),
        pytest.param(
            "Local",
            as_planned,
            CLIENT,
            ("silent",),
            with_node_ports("open"),
            "LoadBalancerNotAnswering",
            "30080 does",
            id="vip",
        ),
        pytest.param(
            "Local",
            as_planned,
            CLIENT,
            ("silent",),
            with_node_ports("refused"),
            "NodesDoNotForward",
            "kube-proxy",
            id="proxy",
        ),
        pytest.param(
            "Local",
            as_planned,
            CLIENT,
            ("refused",),
            with_node_ports("refused"),
            "TargetPortClosed",
            "8080",
            id="both-refuse",
        ),
        pytest.param(
            "Local",
            as_planned,
            CLIENT,
            ("silent",),
            with_node_ports("silent"),
            "Unreachable",
            "Neither tcp://",
            id="neither",
        ),
    ],
)
def test_causes(
    tmp_path: Path,
    traffic: str,
    change: Change,
    client: str,
    outcomes: tuple[Outcome, ...],
    beside: Beside,
    reason: str,
    words: str,
) -> None:
    """Each cause with what is special to the case, no field left open, and what to do."""
    context = context_of(snapshot_of(tmp_path, policy=NARROW, traffic=traffic), change)
    check = checked(context, client, outcomes, beside)
    assert ("mismatch", reason) == (check.result, check.cause and check.cause.reason)
    assert check.cause is not None
    assert words in check.cause.message
    assert not set("{}") & set(check.cause.message + check.cause.cure)
    assert check.cause.cure.endswith(".")


def test_source_ranges_that_are_not_held(tmp_path: Path) -> None:
    """kube-proxy should have refused it, and no policy of the operator is there to blame."""
    context = context_of(snapshot_of(tmp_path, traffic="Cluster", ranges="192.168.1.0/24"), as_planned)
    check = checked(context, STRANGER, ("open",), ALONE)
    assert ("denied", NOT_HELD) == (check.expected.verdict, check.cause)


def test_no_ready_backend(tmp_path: Path) -> None:
    """Pods that are not ready explain everything else."""
    snapshot = replace(snapshot_of(tmp_path, policy=NARROW), endpoint_slices={})
    check = checked(context_of(snapshot, as_planned), CLIENT, ("refused",), ALONE)
    assert Cause("NoReadyBackend", "Service shop/web has no ready pod behind port 80.") == replace(
        check.cause or Cause("", ""), cure=""
    )


@pytest.mark.parametrize(
    "outcome, protocol, note",
    [
        pytest.param("untried", "SCTP", "verify cannot connect over SCTP.", id="sctp"),
        pytest.param("untried", "TCP", NAME_NOT_RESOLVED, id="a-host-name"),
        pytest.param("silent", "UDP", SILENCE_OVER_UDP, id="udp"),
    ],
)
def test_what_cannot_be_judged(tmp_path: Path, outcome: Outcome, protocol: str, note: str) -> None:
    """No failure, and the reason."""
    context = context_of(snapshot_of(tmp_path, policy=NARROW), as_planned)
    check = checked(context, CLIENT, (outcome,), ALONE, protocol)
    assert ("not judged", (note,), None) == (check.result, check.notes, check.cause)


@pytest.mark.parametrize(
    "change, differences",
    [
        pytest.param(as_planned, None, id="as-planned"),
        pytest.param(none_live, "exposure-to-web is missing, exposure-default-deny is missing", id="missing"),
        pytest.param(everyone_admitted, "exposure-to-web differs", id="another"),
        pytest.param(
            lambda policies: {
                **policies,
                "exposure-to-old": replace(policies["exposure-to-web"], name="exposure-to-old"),
            },
            "exposure-to-old is not planned",
            id="one-too-many",
        ),
        pytest.param(
            lambda policies: {name: replace(policy, annotations=()) for name, policy in policies.items()},
            None,
            id="annotations-affect-no-connection",
        ),
    ],
)
def test_drift(tmp_path: Path, change: Change, differences: str | None) -> None:
    """Live policies that are not the planned ones are a mismatch of their own."""
    check = drift(context_of(snapshot_of(tmp_path, policy=NARROW), change), "shop")
    assert check is not None
    if differences is None:
        assert ("as expected", None) == (check.result, check.cause)
    else:
        assert check.cause is not None
        assert (
            f"The live NetworkPolicies of namespace shop do not match the plan: {differences}." == check.cause.message
        )


def test_nothing_planned_is_no_drift(tmp_path: Path) -> None:
    """A namespace without a policy has nothing to compare."""
    assert drift(VerificationContext(snapshot_of(tmp_path)), "shop") is None


def test_a_target_is_reached_through_its_place() -> None:
    """IPv6 addresses stand in brackets."""
    port = ServicePort("", "TCP", 80, 8080)
    target = Target("shop/service-web", Service("shop", "web"), port, "LoadBalancer", "2001:db8::1", 80, ())
    assert "tcp://[2001:db8::1]:80" == target.place
