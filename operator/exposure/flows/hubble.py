"""Hubble: `hubble observe -o json` (jsonpb), and the files of Cilium's flow exporter.

One JSON object a line: {"flow": {...}, "node_name": …, "time": …}; older ones have the flow's fields at the top. Fields
and enums: https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto (messages Flow, IP, Layer4, Endpoint,
Verdict, DropReason), GetFlowsResponse and ExportEvent in api/v1/observer/observer.proto.
"""

import json
from typing import Any

from exposure.flows.records import BadLine, End, Flow, LogVerdict, Parsed, Passed, Reporter, port_number, protocol_of

#: REDIRECTED: handed to the L7 proxy that the allowing policy asks for. TRACED and TRANSLATED decide nothing.
VERDICTS: dict[str, LogVerdict] = {
    "FORWARDED": "allowed",
    "REDIRECTED": "allowed",
    "DROPPED": "dropped",
    "AUDIT": "audit",
    "ERROR": "blocked",
}
#: Drops that a policy decided. The others (unroutable, source ranges of the load balancer, …) are `blocked`.
POLICY_DROPS = frozenset({"POLICY_DENIED", "POLICY_DENY", "AUTH_REQUIRED", "DROP_REASON_UNKNOWN", "", 0, 133, 181, 189})
REPORTERS: dict[object, Reporter] = {"INGRESS": "dst", "EGRESS": "src"}
NOT_FLOWS = ("node_status", "lost_events", "agent_event", "debug_event")


def parse(line: bytes) -> Parsed:
    return parse_object(json.loads(line))


def parse_object(raw: Any) -> Parsed:
    """A GetFlowsResponse, an ExportEvent or a bare Flow, as jsonpb writes them. BadLine where it is none of these."""
    flow = raw.get("flow")
    if flow is None:
        if any(key in raw for key in NOT_FLOWS):
            return Passed.NOT_A_FLOW
        flow = raw
    hubble_verdict = flow.get("verdict")
    if hubble_verdict is None and "source" not in flow and "l4" not in flow:
        raise BadLine("not a flow of Hubble's")
    verdict = VERDICTS.get(hubble_verdict)
    if verdict is None:
        return Passed.NO_VERDICT
    layer4 = flow.get("l4") or {}
    protocol = next(filter(protocol_of, layer4), "")
    if not protocol:
        return Passed.NOT_A_CONNECTION
    ports = layer4[protocol]
    reply = flow.get("is_reply")
    if reply is None:
        # Older Cilium leaves is_reply out: the first packet has SYN alone, its answer SYN and ACK.
        flags = ports.get("flags") or {}
        reply = bool(flags.get("ACK")) if flags.get("SYN") else None
    if reply:
        return Passed.REPLY
    if verdict == "dropped" and flow.get("drop_reason_desc", "") not in POLICY_DROPS:
        verdict = "blocked"
    ip = flow.get("IP") or {}
    return Flow(
        _end(flow.get("source") or {}, ip.get("source") or ""),
        _end(flow.get("destination") or {}, ip.get("destination") or ""),
        protocol,
        port_number(ports.get("destination_port")),
        verdict,
        int(ports.get("source_port") or 0),
        REPORTERS.get(flow.get("traffic_direction"), ""),
        reply,
    )


def _end(raw: Any, address: str) -> End:
    labels = tuple(str(label).removeprefix("k8s:") for label in raw.get("labels") or ())
    return End(str(address), str(raw.get("namespace") or ""), str(raw.get("pod_name") or ""), labels)
