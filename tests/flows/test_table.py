"""The table of counts: it is bounded, and no count is lost."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from exposure.flows.records import LOG_VERDICTS
from exposure.flows.table import REPORTERS, FlowKey, FlowPeer, FlowTable, counts

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PEERS = st.one_of(
    st.builds(lambda ip: FlowPeer("address", ip), ADDRESSES),
    st.builds(lambda n: FlowPeer("pod", "", f"ns{n}", (("app", "a"),)), st.integers(0, 50)),
)
KEYS = st.builds(
    FlowKey,
    st.sampled_from(["in", "out"]),
    st.sampled_from(["a/b", "c/d"]),
    PEERS,
    st.just("TCP"),
    st.integers(1, 99),
    st.booleans(),
)
ADDED = st.tuples(KEYS, st.sampled_from(LOG_VERDICTS), st.sampled_from(REPORTERS), st.integers(1, 9))


@settings(max_examples=60, deadline=None)
@given(st.lists(ADDED, max_size=400), st.integers(16, 64))
def test_the_table_stays_within_its_bound_and_keeps_every_count(
    added: list[tuple[FlowKey, str, str, int]], capacity: int
) -> None:
    """However many different keys come, rows never outnumber the capacity and sum to what was added."""
    table = FlowTable(capacity)
    for key, verdict, reporter, count in added:
        table.add(key, verdict, reporter, count)  # type: ignore[arg-type]
        assert capacity >= len(table.rows)
    assert sum(count for *_, count in added) == sum(map(sum, table.rows.values()))


def test_frequent_clients_keep_their_rows() -> None:
    """Thousands of clients that connect once do not displace the one that always connects."""
    table = FlowTable(64)
    regular = FlowKey("in", "a/b", FlowPeer("address", "198.51.100.7"), "TCP", 80)
    for number in range(5000):
        table.add(regular, "allowed")
        once = FlowPeer("address", f"20.{number // 250}.{number % 250}.1")
        table.add(FlowKey("in", "a/b", once, "TCP", 80), "allowed")
    assert sum(table.rows[regular]) == 5000


def row(**reported: int) -> list[int]:
    table = FlowTable()
    key = FlowKey("in", "a/b", FlowPeer("address", "1.2.3.4"), "TCP", 80)
    for name, count in reported.items():
        reporter, verdict = name.split("_")
        table.add(key, verdict, "" if reporter == "one" else reporter, count)  # type: ignore[arg-type]
    return table.rows[key]


def test_the_reports_of_both_ends_are_one_flow() -> None:
    """The destination counts what arrived. What the source dropped never arrived."""
    assert (0, 3, 0, 0, 0) == tuple(counts("in", row(src_allowed=3, dst_dropped=3)))
    assert (3, 0, 0, 0, 0) == tuple(counts("in", row(src_allowed=5, dst_allowed=3)))
    assert (3, 2, 0, 0, 0) == tuple(counts("in", row(src_dropped=2, dst_allowed=3)))
    assert (4, 0, 0, 0, 0) == tuple(counts("in", row(src_allowed=4)))
    assert (5, 0, 0, 0, 0) == tuple(counts("out", row(src_allowed=5, dst_dropped=3)))


STREAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from exposure.flows.table import FlowKey, FlowPeer, FlowTable
from exposure.flows import vpc
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table, parse = FlowTable(5000), vpc.VpcParser()
for n in range(200_000):
    a = n * 2654435761 % 2**32
    ip = f"{20 + (a >> 24) % 100}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"
    flow = parse(f"2 1 eni-1 {ip} 10.244.1.5 4000 8080 6 20 4249 1 2 ACCEPT OK".encode())
    table.add(FlowKey("in", "a/b", FlowPeer("address", flow.source.address), flow.protocol, flow.port), flow.verdict)
assert sum(map(sum, table.rows.values())) == 200_000 and len(table.rows) <= 5000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_stream() -> None:
    """200,000 different clients in a table of 5,000 rows: less than 40 MiB beside the interpreter."""
    operator = Path(__file__).parents[2] / "operator"
    done = subprocess.run([sys.executable, "-c", STREAM, str(operator)], capture_output=True, text=True, timeout=120)
    assert "" == done.stderr
    assert int(done.stdout) < 40
