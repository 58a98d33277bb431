"""Connection tracking: `conntrack -L`, `conntrack -E`, and /proc/net/nf_conntrack.

Format: conntrack(8), https://manpages.ubuntu.com/manpages/plucky/man8/conntrack.8.html; two tuples a line (src, dst,
sport, dport), first as the packet came, then as the answer is expected. The answer's source is the backend behind the
load balancer's address or the node port (after DNAT), which is what policies see. [UNREPLIED]: nothing came back, so
the line does not say whether it was let in. An event of an entry that ends or changes ([UPDATE], [DESTROY]) is the
same connection again and is counted once, at [NEW], unless it is the first to report an answer ([UPDATE] with
ESTABLISHED).
"""

import re

from exposure.flows.records import BadLine, LogVerdict, Parsed, Passed, flow_of_addresses, protocol_of

TUPLES = re.compile(r"\b(src|dst|sport|dport)=(\S+)")
PROTOCOL = re.compile(r"(?:^|[\s\]])(tcp|udp|sctp|icmp|icmpv6|udplite|dccp|gre|unknown)\s")
SUMMARY = re.compile(r"flow entries have been shown|flow events have been shown")


def parse(line: bytes) -> Parsed:
    text = line.decode("utf-8", "replace")
    tuples = TUPLES.findall(text)
    if not tuples:
        if SUMMARY.search(text):
            return Passed.NOT_A_FLOW
        raise BadLine("no tuple of src= and dst=")
    named = PROTOCOL.search(text)
    if named is None:
        raise BadLine("no protocol")
    protocol = protocol_of(named[1])
    if not protocol:
        return Passed.NOT_A_CONNECTION
    values: dict[str, list[str]] = {"src": [], "dst": [], "sport": [], "dport": []}
    for key, value in tuples:
        values[key].append(value)
    if min(map(len, values.values())) < 2:
        raise BadLine("not two tuples")
    if "[DESTROY]" in text:
        return Passed.NOT_A_FLOW
    if "[UPDATE]" in text and "ESTABLISHED" not in text:
        return Passed.NO_VERDICT
    source, backend, *_ = values["src"]
    source_port, port, *_ = values["sport"]
    unanswered = any(mark in text for mark in ("[UNREPLIED]", "[NEW]", "SYN_SENT"))
    verdict: LogVerdict = "arrived" if unanswered else "allowed"
    return flow_of_addresses(source, backend, protocol, port, verdict, source_port, False)
