"""Connection tracking: `conntrack -L`, `conntrack -E`, and /proc/net/nf_conntrack.

Format: conntrack(8), https://manpages.ubuntu.com/manpages/plucky/man8/conntrack.8.html; two tuples a line (src, dst,
sport, dport), first as the packet came, then as the answer is expected: the answer's source is the backend behind
the VIP or node port (after DNAT), which is what policies see. [UNREPLIED]: nothing came back, so nobody can say
whether it was let in. An event of an entry that ends or changes ([UPDATE], [DESTROY]) is the same connection again
and is counted once, at [NEW], unless it is the first to tell of an answer ([UPDATE] with ESTABLISHED).
"""

import re

from exposure.flows.records import (
    NO_VERDICT,
    NOT_A_CONNECTION,
    NOT_A_FLOW,
    BadLine,
    End,
    Flow,
    Parsed,
    Verdict,
    port_number,
)

TUPLES = re.compile(r"\b(src|dst|sport|dport)=(\S+)")
PROTOCOL = re.compile(r"(?:^|[\s\]])(tcp|udp|sctp|icmp|icmpv6|udplite|dccp|gre|unknown)\s")
SHOWN = re.compile(r"flow entries have been shown|flow events have been shown")


def parse(line: bytes | str) -> Parsed:
    text = line if isinstance(line, str) else line.decode("utf-8", "replace")
    found = TUPLES.findall(text)
    if not found:
        if SHOWN.search(text):
            return NOT_A_FLOW
        raise BadLine("no tuple of src= and dst=")
    protocol = PROTOCOL.search(text)
    if protocol is None:
        raise BadLine("no protocol")
    if protocol[1] not in ("tcp", "udp", "sctp"):
        return NOT_A_CONNECTION
    values: dict[str, list[str]] = {"src": [], "dst": [], "sport": [], "dport": []}
    for key, value in found:
        values[key].append(value)
    if min(map(len, values.values())) < 2:
        raise BadLine("not two tuples")
    if "[DESTROY]" in text:
        return NOT_A_FLOW
    if "[UPDATE]" in text and "ESTABLISHED" not in text:
        return NO_VERDICT
    return Flow(
        End(values["src"][0]),
        End(values["src"][1]),
        protocol[1].upper(),
        port_number(values["sport"][1]),
        _verdict(text),
        int(values["sport"][0]) if values["sport"][0].isdigit() else 0,
    )


def _verdict(text: str) -> Verdict:
    if "[UNREPLIED]" in text or "[NEW]" in text or "SYN_SENT" in text:
        return "arrived"
    return "allowed"
