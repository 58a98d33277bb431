"""The kernel's packet log: the LOG target of iptables and nftables (dmesg, syslog, journal), and NFLOG as ulogd
writes it.

Fields: https://logi.cc/en/2010/07/netfilter-log-format/ (IN, OUT, SRC, DST, PROTO, SPT, DPT, then the TCP flags as
bare words); `--log-prefix`: iptables-extensions(8), LOG and NFLOG. The target does not end the traversal and records
no verdict. The rule's prefix is all there is: one that says drop (reject, deny, block) or accept (allow) is believed.
"""

import re

from exposure.flows.records import BadLine, LogVerdict, Parsed, Passed, flow_of_addresses, protocol_of

FIELDS = re.compile(r"\b(SRC|DST|PROTO|SPT|DPT)=(\S*)")
DROPPING = re.compile(r"drop|reject|deny|denied|block", re.IGNORECASE)
ACCEPTING = re.compile(r"accept|allow|permit|pass", re.IGNORECASE)


def parse(line: bytes) -> Parsed:
    prefix, mark, packet = line.decode("utf-8", "replace").partition("IN=")
    if not mark:
        raise BadLine("not a packet log")
    # An ICMP error quotes the packet that it is about, in square brackets: that one is no second flow.
    fields = dict(FIELDS.findall(packet.partition("[")[0]))
    if "SRC" not in fields or "DST" not in fields or "PROTO" not in fields:
        raise BadLine("a packet without SRC, DST or PROTO")
    protocol = protocol_of(fields["PROTO"])
    if not protocol:
        return Passed.NOT_A_CONNECTION
    words = packet.split()
    if protocol == "TCP" and "SYN" in words and "ACK" in words:
        return Passed.REPLY
    reply = False if "SYN" in words else None
    source, destination, port, source_port = (fields.get(name, "") for name in ("SRC", "DST", "DPT", "SPT"))
    return flow_of_addresses(source, destination, protocol, port, _verdict(prefix), source_port, reply)


def _verdict(prefix: str) -> LogVerdict:
    if DROPPING.search(prefix):
        return "dropped"
    return "allowed" if ACCEPTING.search(prefix) else "arrived"
