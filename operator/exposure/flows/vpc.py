"""AWS VPC flow logs: version 2 (the default format), or any custom format that a header line names.

Fields: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html (default format, available fields),
examples: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html. `pkt-srcaddr` and
`pkt-dstaddr` are the packet's own addresses where `srcaddr` and `dstaddr` are those of the network interface: pods
on secondary addresses are named by them. `tcp-flags` is OR-ed over the interval: 2 is SYN (who opened), 18 SYN-ACK
(who answered).

ACCEPT and REJECT are the verdict of security groups and network ACLs, never of a NetworkPolicy: a packet that was
accepted here has only *arrived*.
"""

from collections.abc import Sequence

from exposure.flows.records import BadLine, LogVerdict, Parsed, Passed, flow_of_addresses, protocol_of

DEFAULT = [
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "log-status"),
]
ACTIONS: dict[str, LogVerdict] = {"ACCEPT": "arrived", "REJECT": "blocked"}
SYN_ACK = 18


class VpcParser:
    """Holds the field order of one file: the default one, until a header line gives another."""

    def __init__(self) -> None:
        self._use(DEFAULT)

    def _use(self, fields: Sequence[str]) -> None:
        self.width = len(fields)
        at = {name: number for number, name in enumerate(fields)}
        self.source = at.get("pkt-srcaddr", at.get("srcaddr", -1))
        self.destination = at.get("pkt-dstaddr", at.get("dstaddr", -1))
        self.source_port, self.port = at.get("srcport", -1), at.get("dstport", -1)
        self.protocol, self.action = at.get("protocol", -1), at.get("action", -1)
        self.status, self.flags = at.get("log-status", -1), at.get("tcp-flags", -1)
        self.enough = min(self.source, self.destination, self.port, self.protocol) >= 0

    def __call__(self, line: bytes) -> Parsed:
        text = line.decode("utf-8", "replace")
        parts = text.split()
        if "srcaddr" in text and is_header(parts):
            self._use([part.strip("${}") for part in parts])
            return Passed.NOT_A_FLOW
        if len(parts) == self.width + 1 and "T" in parts[0]:
            # CloudWatch's export to S3 puts its own timestamp before each record.
            del parts[0]
        if len(parts) != self.width:
            raise BadLine(f"{len(parts)} fields, not {self.width}")
        if not self.enough:
            raise BadLine("the header names no address, port or protocol field")
        if self.status >= 0 and parts[self.status] in ("NODATA", "SKIPDATA"):
            return Passed.NO_DATA
        protocol = protocol_of(parts[self.protocol])
        if not protocol:
            if not parts[self.protocol].isdigit():
                raise BadLine("a protocol that is not a number")
            return Passed.NOT_A_CONNECTION
        reply = None
        if self.flags >= 0 and protocol == "TCP" and parts[self.flags].isdigit():
            flags = int(parts[self.flags])
            if flags & SYN_ACK == SYN_ACK:
                return Passed.REPLY
            reply = None if not flags & 2 else False
        verdict: LogVerdict | None = ACTIONS.get(parts[self.action]) if self.action >= 0 else "arrived"
        if verdict is None:
            raise BadLine("an action that is neither ACCEPT nor REJECT")
        source_port = parts[self.source_port] if self.source_port >= 0 else ""
        source, destination, port = parts[self.source], parts[self.destination], parts[self.port]
        return flow_of_addresses(source, destination, protocol, port, verdict, source_port, reply)


def is_header(parts: Sequence[str]) -> bool:
    """Whether the words are field names, plain as in files on S3, or `${…}` as in the format's definition."""
    names = {part.strip("${}") for part in parts}
    return bool(names & {"srcaddr", "pkt-srcaddr"}) and bool(names & {"dstaddr", "pkt-dstaddr"})
