"""Counts by key, in a table that never outgrows its bound, however long the stream and however many strangers come.

When the table is full, its lightest three quarters get coarser, step by step, until half of the room is free: ports
that are not exposed become one, then single addresses become /24 (IPv6: /64), then /16 (/48); what is still too much
goes to one row a Service that says *others*. Rows that carry much traffic stay as they are. No count is ever lost: the
sum over all rows is the sum of what was added.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from exposure.addresses import network
from exposure.flows.records import VERDICTS, Reporter, Verdict

CAPACITY = 50_000
REPORTERS: tuple[Reporter, ...] = ("dst", "src", "")
COLUMN = {(v, r): len(VERDICTS) * i + j for i, r in enumerate(REPORTERS) for j, v in enumerate(VERDICTS)}
WIDTH = len(COLUMN)


class Peer(NamedTuple):
    """Who is at the other end.

    kind: pod (`namespace` and `labels` say which workload), node (`address`, "" where the log only says that it is
    one), gone (an address of the pod ranges, of a pod nobody knows), service (a cluster address without known pods),
    address, prefix (several addresses, `address` is their CIDR), outside (no address in the log), other (rows that
    were too many).
    """

    kind: str
    address: str = ""
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class Key(NamedTuple):
    """`way` in: to a pod of `service` at `port`; out: from one, to `port` of the peer. `exposed`: the port is the
    Service's."""

    way: str
    service: str
    peer: Peer
    protocol: str
    port: int
    exposed: bool = True


OTHER = Peer("other")


class Table:
    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 16:
            raise ValueError("a table has room for at least 16 rows")
        self.capacity = capacity
        self.rows: dict[Key, list[int]] = {}
        self.compactions = 0

    def add(self, key: Key, verdict: Verdict, reporter: Reporter = "", count: int = 1) -> None:
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= self.capacity:
                self._compact()
            row = self.rows.setdefault(key, [0] * WIDTH)
        row[COLUMN[verdict, reporter]] += count

    def total(self) -> int:
        return sum(map(sum, self.rows.values()))

    def __iter__(self) -> Iterator[tuple[Key, "Counts"]]:
        for key, row in self.rows.items():
            yield key, counts(key.way, row)

    def _compact(self) -> None:
        self.compactions += 1
        goal = self.capacity // 2
        steps: tuple[Callable[[Key], Key], ...] = (_one_port, _wider(24, 64), _wider(16, 48), _other)
        for coarser in steps:
            by_weight = sorted(self.rows.items(), key=lambda item: sum(item[1]))
            # The heaviest quarter stays as it is: those rows are what the report is about.
            light = by_weight[: len(by_weight) * 3 // 4]
            for key, row in light:
                into = coarser(key)
                if into == key:
                    continue
                del self.rows[key]
                found = self.rows.setdefault(into, [0] * WIDTH)
                for column, count in enumerate(row):
                    found[column] += count
            if len(self.rows) <= goal:
                return
        self._drain(goal)

    def _drain(self, goal: int) -> None:
        """More Services than room: their other rows become one for all."""
        everything = Key("in", "", OTHER, "", 0, False)
        for key, row in sorted(self.rows.items(), key=lambda item: sum(item[1])):
            if len(self.rows) <= goal:
                return
            if key != everything:
                del self.rows[key]
                found = self.rows.setdefault(everything, [0] * WIDTH)
                for column, count in enumerate(row):
                    found[column] += count


def _one_port(key: Key) -> Key:
    return key if key.exposed or key.way == "out" else key._replace(port=0)


def _wider(v4: Literal[16, 24], v6: int) -> Callable[[Key], Key]:
    def wider(key: Key) -> Key:
        if key.peer.kind not in ("address", "prefix"):
            return key
        found = _prefix(key.peer.address, v4, v6)
        return key if found == key.peer.address else key._replace(peer=Peer("prefix", found))

    return wider


def _prefix(text: str, v4: Literal[16, 24], v6: int) -> str:
    """The prefix around a canonical address or a narrower prefix; a wider one stays."""
    if ":" not in text:
        # The common case, a million times over, without the cost of parsing.
        plain, _, length = text.partition("/")
        if length and int(length) <= v4:
            return text
        parts = plain.split(".")
        return f"{parts[0]}.{parts[1]}.{parts[2]}.0/24" if v4 == 24 else f"{parts[0]}.{parts[1]}.0.0/16"
    held = network(text)
    return text if held.prefixlen <= v6 else str(held.supernet(new_prefix=v6))


def _other(key: Key) -> Key:
    return Key(key.way, key.service, OTHER, key.protocol, key.port if key.exposed else 0, key.exposed)


class Counts(NamedTuple):
    allowed: int = 0
    dropped: int = 0
    audit: int = 0
    arrived: int = 0
    blocked: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    @property
    def came_in(self) -> int:
        """Not refused by anybody, as far as the log says."""
        return self.allowed + self.audit + self.arrived

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*map(sum, zip(self, other, strict=True)))


def counts(way: str, row: list[int]) -> Counts:
    """Both ends' reports as one.

    The end that the row is about is believed: a flow that its source let go and its destination refused was refused.
    Where only the other end reported, that has to do; a refusal at the source is one more, because such a flow never
    got to the destination.
    """
    size = len(VERDICTS)
    dst, src, one = row[:size], row[size : 2 * size], row[2 * size :]
    near, far = (dst, src) if way == "in" else (src, dst)
    found = list(near) if any(near) else list(far)
    if way == "in" and any(near):
        for number, verdict in enumerate(VERDICTS):
            if verdict in ("dropped", "blocked"):
                found[number] += far[number]
    return Counts(*map(sum, zip(found, one, strict=True)))
