"""The kernel's packet log: the LOG target of iptables and nftables (dmesg, syslog, journal), and NFLOG as ulogd
writes it.

Fields: https://logi.cc/en/2010/07/netfilter-log-format/ (IN, OUT, SRC, DST, PROTO, SPT, DPT, then the TCP flags as
bare words); `--log-prefix`: iptables-extensions(8), LOG and NFLOG. The target does not end the traversal and records
no verdict. The rule's prefix is all there is: one that says drop (reject, deny, block) or accept (allow) is believed.
"""

import re

from exposure.flows.records import (
    NOT_A_CONNECTION,
    PROTOCOL_NUMBERS,
    PROTOCOLS,
    REPLY,
    BadLine,
    End,
    Flow,
    LogVerdict,
    Parsed,
    port_number,
    source_port_number,
    text_of,
)

FIELDS = re.compile(r"\b(SRC|DST|PROTO|SPT|DPT)=(\S*)")
DROPPING = re.compile(r"drop|reject|deny|denied|block", re.IGNORECASE)
ACCEPTING = re.compile(r"accept|allow|permit|pass", re.IGNORECASE)


def parse(line: bytes | str) -> Parsed:
    prefix, mark, packet = text_of(line).partition("IN=")
    if not mark:
        raise BadLine("not a packet log")
    # An ICMP error quotes the packet that it is about, in square brackets: that one is no second flow.
    fields = dict(FIELDS.findall(packet.partition("[")[0]))
    if "SRC" not in fields or "DST" not in fields or "PROTO" not in fields:
        raise BadLine("a packet without SRC, DST or PROTO")
    protocol = PROTOCOL_NUMBERS.get(fields["PROTO"], fields["PROTO"])
    if protocol not in PROTOCOLS:
        return NOT_A_CONNECTION
    words = packet.split()
    syn, ack = "SYN" in words, "ACK" in words
    if protocol == "TCP" and syn and ack:
        return REPLY
    return Flow(
        End(fields["SRC"]),
        End(fields["DST"]),
        protocol,
        port_number(fields.get("DPT")),
        _verdict(prefix),
        source_port_number(fields.get("SPT", "")),
        "",
        False if syn else None,
    )


def _verdict(prefix: str) -> LogVerdict:
    if DROPPING.search(prefix):
        return "dropped"
    return "allowed" if ACCEPTING.search(prefix) else "arrived"
