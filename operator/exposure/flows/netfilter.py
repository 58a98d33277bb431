"""The kernel's packet log: the LOG target of iptables and nftables (dmesg, syslog, journal), and NFLOG as ulogd
writes it.

Fields: https://logi.cc/en/2010/07/netfilter-log-format/ (IN, OUT, SRC, DST, PROTO, SPT, DPT, then the TCP flags as
bare words); `--log-prefix`: iptables-extensions(8), LOG and NFLOG. The target does not end the traversal and says no
verdict: the rule's prefix is the only word about it, so a prefix that says drop (reject, deny, block) or accept
(allow) is believed.
"""

import re

from exposure.flows.records import NOT_A_CONNECTION, REPLY, BadLine, End, Flow, Parsed, Verdict, port_number

FIELDS = re.compile(r"\b(SRC|DST|PROTO|SPT|DPT)=(\S*)")
DROPPING = re.compile(r"drop|reject|deny|denied|block", re.IGNORECASE)
ACCEPTING = re.compile(r"accept|allow|permit|pass", re.IGNORECASE)


def parse(line: bytes | str) -> Parsed:
    text = line if isinstance(line, str) else line.decode("utf-8", "replace")
    prefix, found, packet = text.partition("IN=")
    if not found:
        raise BadLine("no packet log")
    # An ICMP error quotes the packet that it is about, in square brackets: that one is no second flow.
    fields = dict(FIELDS.findall(packet.partition("[")[0]))
    if "SRC" not in fields or "DST" not in fields or "PROTO" not in fields:
        raise BadLine("a packet without SRC, DST or PROTO")
    protocol = {"6": "TCP", "17": "UDP", "132": "SCTP"}.get(fields["PROTO"], fields["PROTO"])
    if protocol not in ("TCP", "UDP", "SCTP"):
        return NOT_A_CONNECTION
    words = packet.split()
    syn, ack = "SYN" in words, "ACK" in words
    if protocol == "TCP" and syn and ack:
        return REPLY
    source_port = fields.get("SPT", "")
    return Flow(
        End(fields["SRC"]),
        End(fields["DST"]),
        protocol,
        port_number(fields.get("DPT")),
        _verdict(prefix),
        int(source_port) if source_port.isdigit() else 0,
        "",
        False if syn else None,
    )


def _verdict(prefix: str) -> Verdict:
    if DROPPING.search(prefix):
        return "dropped"
    return "allowed" if ACCEPTING.search(prefix) else "arrived"
