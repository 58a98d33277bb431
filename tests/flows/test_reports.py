"""What the command says of a small shop, whole."""

import json
from pathlib import Path

import pytest
import yaml

from exposure.cli import main
from tests.flows.conftest import FIXTURES, Flows, fixture

TABLE = """\
shop/service-web  LoadBalancer, policy edge
FROM                                PORT      ALLOWED  DROPPED  OTHER  POLICIES SAY  NOTE
198.51.100.7                        tcp/8080  1        0        -      admitted
198.51.100.9                        tcp/8080  0        1        -      admitted
203.0.113.99                        tcp/8080  1        0        -      refused
pods app=pay in namespace checkout  tcp/8080  0        1        -      refused

TO           PORT     ALLOWED  DROPPED  OTHER  POLICIES SAY  NOTE
151.101.1.1  tcp/443  1        0        -      admitted

  Open and never used
    port TCP 9000 (admin)

  Dropped, but may be wanted
    198.51.100.9 at tcp/8080: other clients in 198.51.100.0/24 are let in
    pods app=pay in namespace checkout at tcp/8080: a workload of this cluster

  Contradictions
    DroppedThoughAdmitted: 198.51.100.9 to shop/web at tcp/8080: dropped, but admitted by
      exposure-to-web (1 records)
    PolicyNotEnforced: 203.0.113.99 to shop/web at tcp/8080: let in, although no policy admits it
      (exposure-default-deny, exposure-to-web) (1 records)
"""


def test_the_table(flows: Flows) -> None:
    """Who came, what is unused, what may be wanted, and where log and standing policies disagree."""
    done = flows(fixture("hubble.json"), manifests="standing.yaml")
    assert TABLE == done.out
    assert "6 lines: 5 flows (5 at an entry point's pods), 1 bad" in done.err


def test_planned_policies_give_a_forecast(flows: Flows) -> None:
    """Where none stand, or where asked for: what the plan would cut and admit."""
    found = json.loads(flows(fixture("hubble.json"), "-o", "json").out)
    assert "planned" == found["judgedBy"]
    assert ["WouldBeAdmitted", "WouldBeCut"] == [each["reason"] for each in found["exposures"][0]["contradictions"]]


@pytest.mark.parametrize(
    "log, incoming",
    [
        pytest.param("calico.log", [("pod", 0, 3, 0, 0), ("outside", 1, 0, 0, 0)], id="calico"),
        pytest.param("netfilter.log", [("address", 0, 1, 0, 0)], id="netfilter"),
        pytest.param("conntrack.log", [("address", 1, 0, 0, 0), ("address", 0, 0, 1, 0)], id="conntrack"),
        pytest.param("aws-vpc.log", [("address", 0, 0, 1, 0), ("address", 0, 0, 0, 1)], id="aws-vpc"),
    ],
)
def test_every_format_leads_to_the_same_service(flows: Flows, log: str, incoming: list[tuple[object, ...]]) -> None:
    """Pod, VIP and node port are one Service; answers are not counted, nor is a flow that both ends report."""
    [exposure] = json.loads(flows(fixture(log), "-o", "json").out)["exposures"]
    assert incoming == [
        (each["peer"]["kind"], each["allowed"], each["dropped"], each["arrived"], each["blocked"])
        for each in exposure["incoming"]
    ]
    assert {8080} == {each["port"] for each in exposure["incoming"]}


def test_the_proposal_is_a_policy_that_the_api_would_take(
    flows: Flows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It validates against the CRD, admits the clients that were let in, and none that was dropped."""
    proposed = flows(fixture("hubble.json"), "-o", "yaml").out
    [policy] = [each for each in yaml.safe_load_all(proposed) if each]
    assert {"cidrs": ["198.51.100.7/32", "203.0.113.99/32"]} == policy["spec"]["clients"]
    assert "peers" not in policy["spec"]
    [rule] = policy["spec"]["egress"]["to"]
    assert {"to": [{"ipBlock": {"cidr": "151.101.1.1/32"}}], "ports": [{"protocol": "TCP", "port": 443}]} == rule
    assert "# - 198.51.100.9/32" in proposed
    (tmp_path / "proposed.yaml").write_text(proposed)
    assert 0 == main(["plan", "-f", str(FIXTURES / "shop.yaml"), "-f", str(tmp_path / "proposed.yaml")])
    assert "from 198.51.100.7/32, 203.0.113.99/32 to app=web" in capsys.readouterr().out


def test_what_was_dropped_is_proposed_when_asked_for(flows: Flows) -> None:
    """Clients and peers alike."""
    done = flows(fixture("hubble.json"), "-o", "yaml", "--include-dropped")
    [policy] = [each for each in yaml.safe_load_all(done.out) if each]
    assert "198.51.100.9/32" in policy["spec"]["clients"]["cidrs"]
    assert [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "checkout"}},
            "podSelector": {"matchLabels": {"app": "pay"}},
        }
    ] == policy["spec"]["peers"]


def test_a_proposal_is_never_wider_than_asked(flows: Flows) -> None:
    """Scattered clients are not covered by one huge range: the rest is counted and said."""
    line = "2 1 eni-1 {0}.0.0.1 10.244.1.5 20641 8080 6 20 4249 1 2 ACCEPT OK\n"
    log = "".join(line.format(n) for n in range(20, 120)).encode()
    done = flows("-", "-o", "yaml", "--max-cidrs", "5", stdin=log)
    [policy] = [each for each in yaml.safe_load_all(done.out) if each]
    assert 5 == len(policy["spec"]["clients"]["cidrs"])
    assert "NOT COVERED: 95 more addresses with 95 records" in done.out


def test_peers_that_a_policy_names_and_that_came_stay_peers(flows: Flows, tmp_path: Path) -> None:
    """They are no proxies, which the operator finds by itself: without their names, they would be cut off."""
    shop = (FIXTURES / "shop.yaml").read_text()
    peer = "{namespaceSelector: {}, podSelector: {matchLabels: {app: pay}}}"
    (tmp_path / "peers.yaml").write_text(shop.replace("spec: {clients:", f"spec: {{peers: [{peer}], clients:"))
    line = next(line for line in Path(fixture("hubble.json")).read_text().splitlines() if "pay-1" in line)
    came = line.replace("DROPPED", "FORWARDED").encode()
    done = flows("-", "-o", "yaml", stdin=came, manifests=str(tmp_path / "peers.yaml"))
    [policy] = [each for each in yaml.safe_load_all(done.out) if each]
    assert [{"matchLabels": {"app": "pay"}}] == [each["podSelector"] for each in policy["spec"]["peers"]]
