"""Calico's flow logs as JSON lines (flows.log), and Whisker's answers, whose fields have other names.

Fields: https://docs.tigera.io/calico-cloud/observability/elastic/flow/datatypes (source_ip, source_name,
source_name_aggr, source_namespace, source_labels, source_type, the same for dest_, dest_port, proto, action,
reporter, num_flows). Whisker: FlowResponse in
https://github.com/projectcalico/calico/blob/master/whisker-backend/pkg/apis/v1/flows.go and the enums of
goldmane/proto/api.proto: `protocol` for `proto`, labels as one string, Allow and Deny, Src and Dst, and no addresses
(a source outside is `pub` or `pvt`).
"""

import json
from typing import Any

from exposure.flows.records import BadLine, End, Flow, LogVerdict, Parsed, Passed, Reporter, port_number, protocol_of

ACTIONS: dict[str, LogVerdict] = {"allow": "allowed", "deny": "dropped"}
REPORTERS: dict[str, Reporter] = {"src": "src", "dst": "dst", "fwd": ""}


def parse(line: bytes) -> Parsed:
    """One flow log entry. An address that aggregation took away is null, and then only the names are known."""
    raw = json.loads(line)
    if "action" not in raw or "reporter" not in raw:
        raise BadLine("not a flow of Calico's")
    verdict = ACTIONS.get(str(raw["action"]).lower())
    if verdict is None:
        return Passed.NO_VERDICT
    protocol = protocol_of(str(raw.get("proto") or raw.get("protocol") or ""))
    if not protocol:
        return Passed.NOT_A_CONNECTION
    count = raw.get("num_flows")
    source_port = raw.get("source_port")
    return Flow(
        _end(raw, "source"),
        _end(raw, "dest"),
        protocol,
        port_number(raw.get("dest_port")),
        verdict,
        int(source_port) if source_port else 0,
        REPORTERS.get(str(raw["reporter"]).lower(), ""),
        # Felix writes a flow from the end that opened the connection.
        False,
        count if isinstance(count, int) and count > 0 else 1,
    )


def _end(raw: Any, side: str) -> End:
    namespace = _text(raw.get(f"{side}_namespace"))
    # A host endpoint (hep) and a network (net) are no pods; Whisker leaves the type out and has no namespace there.
    pod = raw.get(f"{side}_type", "wep") in ("wep", "WorkloadEndpoint") and bool(namespace)
    name = _text(raw.get(f"{side}_name")) or _text(raw.get(f"{side}_name_aggr"))
    labels = _labels(raw.get(f"{side}_labels"))
    return End(_text(raw.get(f"{side}_ip")), namespace if pod else "", name if pod else "", labels)


def _labels(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, dict):
        raw = raw.get("labels")
    if isinstance(raw, str):
        raw = raw.split("|")
    return tuple(text for label in raw or () if (text := str(label).strip()) and text != "-")


def _text(value: object) -> str:
    return "" if value in (None, "-") else str(value)
