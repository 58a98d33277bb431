"""Each format, with lines from its documentation (the docstrings of the parsers name the pages)."""

import json

import pytest

from exposure.flows import calico, conntrack, hubble, netfilter, vpc
from exposure.flows.formats import detect
from exposure.flows.records import BadLine, End, Flow, Parsed, Passed

WORLD = {"identity": 2, "labels": ["reserved:world"]}
WEB = {"namespace": "shop", "pod_name": "web-1", "labels": ["k8s:app=web"]}


def hubble_line(**changes: object) -> bytes:
    flow = {
        "verdict": "FORWARDED",
        "IP": {"source": "198.51.100.7", "destination": "10.244.1.5"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 8080}},
        "source": WORLD,
        "destination": WEB,
        "traffic_direction": "INGRESS",
        "is_reply": False,
    }
    return json.dumps({"flow": {**flow, **changes}}).encode()


def flow_of(parsed: Parsed) -> Flow:
    assert isinstance(parsed, Flow)
    return parsed


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param({}, "allowed", id="forwarded"),
        pytest.param({"verdict": "REDIRECTED"}, "allowed", id="to-the-proxy"),
        pytest.param({"verdict": "AUDIT"}, "audit", id="audit"),
        pytest.param({"verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED"}, "dropped", id="by-policy"),
        pytest.param({"verdict": "DROPPED", "drop_reason_desc": "POLICY_DENY"}, "dropped", id="by-deny-policy"),
        pytest.param(
            {"verdict": "DROPPED", "drop_reason_desc": "CT_TRUNCATED_OR_INVALID_HEADER"}, "blocked", id="broken"
        ),
        pytest.param(
            {"verdict": "DROPPED", "drop_reason_desc": "DENIED_BY_LB_SRC_RANGE_CHECK"}, "blocked", id="ranges"
        ),
    ],
)
def test_hubble_verdicts(changes: dict[str, object], expected: str) -> None:
    """Only a policy's refusal counts as dropped (flow.proto, Verdict and DropReason)."""
    assert expected == flow_of(hubble.parse(hubble_line(**changes))).verdict


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param({"is_reply": True}, Passed.REPLY, id="is-reply"),
        pytest.param(
            {"is_reply": None, "l4": {"TCP": {"destination_port": 1, "flags": {"SYN": True, "ACK": True}}}},
            Passed.REPLY,
            id="syn-ack",
        ),
        pytest.param({"verdict": "TRACED"}, Passed.NO_VERDICT, id="traced"),
        pytest.param({"l4": {"ICMPv4": {"type": 8}}}, Passed.NOT_A_CONNECTION, id="ping"),
    ],
)
def test_hubble_lines_without_a_verdict_on_a_connection(changes: dict[str, object], expected: Parsed) -> None:
    """They are counted under their reason."""
    assert expected == hubble.parse(hubble_line(**changes))


def test_the_ends_of_a_hubble_flow() -> None:
    """Namespace, pod and labels, without the source of the labels; INGRESS is the destination's report."""
    flow = flow_of(hubble.parse(hubble_line()))
    assert (End("198.51.100.7", "", "", ("reserved:world",)), End("10.244.1.5", "shop", "web-1", ("app=web",))) == flow[
        :2
    ]
    assert ("TCP", 8080, "dst") == (flow.protocol, flow.port, flow.reporter)


def test_a_hubble_status_line_is_no_flow() -> None:
    """observer.proto: node_status and lost_events are in the same stream."""
    assert Passed.NOT_A_FLOW == hubble.parse(b'{"node_status":{"state_change":"NODE_CONNECTED"}}')


def test_a_calico_record_has_a_count_and_names() -> None:
    """num_flows is the count. The address may be null, and the aggregated name of the replicas is the pod's."""
    raw = {"action": "deny", "reporter": "dst", "proto": "tcp", "dest_port": 8080, "num_flows": 3, "source_ip": None}
    ends = {"dest_namespace": "shop", "dest_name": "-", "dest_name_aggr": "web-7d9c-*", "dest_type": "wep"}
    flow = flow_of(calico.parse(json.dumps({**raw, **ends, "dest_labels": {"labels": ["app=web"]}}).encode()))
    assert (End("", "shop", "web-7d9c-*", ("app=web",)), "dropped", "dst", 3) == (
        flow.destination,
        flow.verdict,
        flow.reporter,
        flow.times,
    )


def test_a_whisker_record_has_the_same_meaning() -> None:
    """FlowResponse of whisker-backend: `protocol`, `Allow`, `Dst`, labels in one string."""
    raw = {"action": "Allow", "reporter": "Dst", "protocol": "tcp", "dest_port": 80, "source_name": "pub"}
    line = json.dumps({**raw, "dest_namespace": "shop", "dest_name": "web", "dest_labels": "a=b | c=d"})
    flow = flow_of(calico.parse(line.encode()))
    assert ("allowed", ("a=b", "c=d"), End()) == (flow.verdict, flow.destination.labels, flow.source)


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param(
            "2 1 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1 2 ACCEPT OK", ("arrived", 22), id="accept"
        ),
        pytest.param(
            "2 1 eni-1 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1 2 REJECT OK", ("blocked", 3389), id="reject"
        ),
        pytest.param(
            "2024-01-01T00:00:00.000Z 2 1 eni-1 1.2.3.4 5.6.7.8 1 22 17 20 4249 1 2 ACCEPT OK",
            ("arrived", 22),
            id="exported",
        ),
    ],
)
def test_vpc_records_of_the_default_format(line: str, expected: tuple[str, int]) -> None:
    """A security group's ACCEPT is an arrival, its REJECT is not a NetworkPolicy's refusal."""
    flow = flow_of(vpc.VpcParser()(line.encode()))
    assert expected == (flow.verdict, flow.port)


@pytest.mark.parametrize("status", ["NODATA", "SKIPDATA"])
def test_a_vpc_record_without_data_is_no_flow(status: str) -> None:
    """It is counted as such."""
    assert Passed.NO_DATA == vpc.VpcParser()(f"2 1 eni-1 - - - - - - - 1431280876 1431280934 - {status}".encode())


def test_a_vpc_header_names_the_fields() -> None:
    """The packet's own addresses have precedence, and SYN-ACK is a reply."""
    parser = vpc.VpcParser()
    assert Passed.NOT_A_FLOW == parser(
        b"srcaddr dstaddr srcport dstport protocol tcp-flags pkt-srcaddr pkt-dstaddr flow-direction action"
    )
    flow = flow_of(parser(b"10.0.0.1 10.0.0.2 4000 80 6 2 198.51.100.7 10.0.9.9 ingress ACCEPT"))
    assert ("198.51.100.7", "10.0.9.9", False) == (flow.source.address, flow.destination.address, flow.reply)
    assert Passed.REPLY == parser(b"10.0.0.2 10.0.0.1 80 4000 6 18 10.0.9.9 198.51.100.7 egress ACCEPT")


@pytest.mark.parametrize(
    "prefix, expected",
    [
        pytest.param("DROP-np ", "dropped", id="drop"),
        pytest.param("policy denied: ", "dropped", id="denied"),
        pytest.param("allow ", "allowed", id="allow"),
        pytest.param("", "arrived", id="none"),
    ],
)
def test_a_packet_log_has_its_verdict_in_the_prefix(prefix: str, expected: str) -> None:
    """LOG is no verdict: only the prefix of the rule names the one that follows."""
    line = f"kernel: {prefix}IN=eth0 OUT= SRC=2001:db8::1 DST=2001:db8::2 LEN=60 PROTO=TCP SPT=4515 DPT=8080 SYN URGP=0"
    flow = flow_of(netfilter.parse(line.encode()))
    assert (expected, "2001:db8::1", 8080, False) == (flow.verdict, flow.source.address, flow.port, flow.reply)


@pytest.mark.parametrize(
    "line, verdict",
    [
        pytest.param("tcp 6 9 ESTABLISHED {0} {1} [ASSURED] mark=0 use=1", "allowed", id="established"),
        pytest.param("tcp 6 9 SYN_SENT {0} [UNREPLIED] {1} mark=0 use=1", "arrived", id="no-answer"),
        pytest.param("    [NEW] tcp      6 120 SYN_SENT {0} [UNREPLIED] {1}", "arrived", id="new"),
        pytest.param("ipv4     2 tcp      6 9 ESTABLISHED {0} {1} [ASSURED] mark=0 zone=0 use=2", "allowed", id="proc"),
    ],
)
def test_conntrack_has_the_backend_of_an_address(line: str, verdict: str) -> None:
    """The source of the reply is the destination after DNAT."""
    there = "src=198.51.100.7 dst=203.0.113.10 sport=41000 dport=80"
    back = "src=10.244.1.5 dst=198.51.100.7 sport=8080 dport=41000"
    flow = flow_of(conntrack.parse(line.format(there, back).encode()))
    assert ("198.51.100.7", "10.244.1.5", 8080, verdict) == (
        flow.source.address,
        flow.destination.address,
        flow.port,
        flow.verdict,
    )


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param(hubble_line().decode(), "hubble", id="hubble"),
        pytest.param('{"node_status":{}}', "hubble", id="hubble-status"),
        pytest.param('{"action":"allow","reporter":"dst"}', "calico", id="calico"),
        pytest.param("version srcaddr dstaddr srcport dstport protocol", "aws-vpc", id="header"),
        pytest.param("2 1 eni-1 1.2.3.4 1.2.3.5 1 22 6 20 4249 1 2 ACCEPT OK", "aws-vpc", id="default"),
        pytest.param("kernel: IN=a OUT= SRC=1.2.3.4 DST=1.2.3.5 PROTO=TCP", "netfilter", id="log"),
        pytest.param("tcp 6 src=1.2.3.4 dst=1.2.3.5 src=1.2.3.5 dst=1.2.3.4", "conntrack", id="conntrack"),
        pytest.param("hello", None, id="nothing"),
        pytest.param("[1]", None, id="a-json-list"),
    ],
)
def test_formats_are_detected(line: str, expected: str | None) -> None:
    """By marks that no other format has."""
    assert expected == detect(line.encode())


@pytest.mark.parametrize("port", [0, 65536, -1, "x", None])
def test_an_invalid_port_makes_a_bad_line(port: object) -> None:
    """Ports are 1 to 65535."""
    with pytest.raises(BadLine):
        hubble.parse(hubble_line(l4={"TCP": {"destination_port": port}}))
