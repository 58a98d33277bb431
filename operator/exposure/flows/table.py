"""Counts by key, in a table of bounded size, however long the stream and however many the clients.

When the table is full, its lightest three quarters get coarser, step by step, until half of it is free: ports that are
not exposed become one, then single addresses become /24 (IPv6: /64), then /16 (/48), and what is still too much goes to
one row of each Service, for all others. Rows that carry much traffic stay as they are. No count is ever lost: the sum
over all rows is the sum of what was added.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import add
from typing import Literal, NamedTuple

from exposure.addresses import Network, network
from exposure.flows.records import LOG_VERDICTS, LogVerdict, Reporter

REPORTERS: tuple[Reporter, ...] = ("dst", "src", "")
COLUMN = {(v, r): len(LOG_VERDICTS) * i + j for i, r in enumerate(REPORTERS) for j, v in enumerate(LOG_VERDICTS)}
WIDTH = len(COLUMN)
REFUSED = (LOG_VERDICTS.index("dropped"), LOG_VERDICTS.index("blocked"))


class FlowPeer(NamedTuple):
    """Who is at the other end.

    kind: pod (`namespace` and `labels` say which workload), node (`address`, "" where the log only says that it is
    one), gone (an address of the pod ranges, of a pod that is not known), service (a cluster address without known
    pods; `address` is the Service's name), api-server, address, prefix (several addresses, `address` is their CIDR),
    outside (no address in the log), other (rows that were too many).
    """

    kind: str
    address: str = ""
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def network(self) -> Network | None:
        """The addresses outside; None for every other kind."""
        return network(self.address) if self.kind in ("address", "prefix") else None


class FlowKey(NamedTuple):
    """`way` in: to `port` of a pod of `service`; out: from one, to `port` of `peer`. `exposed`: a port of `service`."""

    way: str
    service: str
    peer: FlowPeer
    protocol: str
    port: int
    exposed: bool = True


OTHER = FlowPeer("other")
OTHER_SERVICES = FlowKey("in", "", OTHER, "", 0, False)


class FlowTable:
    def __init__(self, capacity: int = 50_000) -> None:
        self.capacity = capacity
        self.rows: dict[FlowKey, list[int]] = {}
        self.compactions = 0

    def add(self, key: FlowKey, verdict: LogVerdict, reporter: Reporter = "", count: int = 1) -> None:
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= self.capacity:
                self._compact()
            row = self.rows.setdefault(key, [0] * WIDTH)
        row[COLUMN[verdict, reporter]] += count

    def __iter__(self) -> Iterator[tuple[FlowKey, "Counts"]]:
        for key, row in self.rows.items():
            yield key, counts(key.way, row)

    def _compact(self) -> None:
        self.compactions += 1
        goal = self.capacity // 2
        for coarser in (_one_port, _wider(24, 64), _wider(16, 48), _other):
            by_weight = self._by_weight()
            # The heaviest quarter stays as it is: those rows are what the report is about.
            self._merge(by_weight[: len(by_weight) * 3 // 4], coarser)
            if len(self.rows) <= goal:
                return
        # There are more Services than rows: the lightest of their rows for all others become one.
        for key in self._by_weight():
            if len(self.rows) <= goal:
                return
            self._merge([key], lambda _: OTHER_SERVICES)

    def _by_weight(self) -> list[FlowKey]:
        return sorted(self.rows, key=lambda key: sum(self.rows[key]))

    def _merge(self, keys: Iterable[FlowKey], coarser: Callable[[FlowKey], FlowKey]) -> None:
        for key in keys:
            into = coarser(key)
            if into != key:
                row = self.rows.pop(key)
                self.rows[into] = list(map(add, row, self.rows.get(into, [0] * WIDTH)))


def _one_port(key: FlowKey) -> FlowKey:
    return key if key.exposed or key.way == "out" else key._replace(port=0)


def _wider(v4: Literal[16, 24], v6: int) -> Callable[[FlowKey], FlowKey]:
    def wider(key: FlowKey) -> FlowKey:
        if key.peer.kind not in ("address", "prefix"):
            return key
        prefix = _prefix(key.peer.address, v4, v6)
        return key if prefix == key.peer.address else key._replace(peer=FlowPeer("prefix", prefix))

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
    parsed = network(text)
    return text if parsed.prefixlen <= v6 else str(parsed.supernet(new_prefix=v6))


def _other(key: FlowKey) -> FlowKey:
    return FlowKey(key.way, key.service, OTHER, key.protocol, key.port if key.exposed else 0, key.exposed)


class Counts(NamedTuple):
    """Records by verdict."""

    allowed: int = 0
    dropped: int = 0
    audit: int = 0
    arrived: int = 0
    blocked: int = 0

    @property
    def came_in(self) -> int:
        """Not refused, as far as the log says."""
        return self.allowed + self.audit + self.arrived

    @property
    def refused(self) -> int:
        return self.dropped + self.blocked


def counts(way: str, row: list[int]) -> Counts:
    """Both ends' reports as one.

    The end that the row is about is believed: a flow that its source let go and its destination refused was refused.
    Where only the other end reported, its report counts; a refusal at the source is one more, because such a flow never
    got to the destination.
    """
    size = len(LOG_VERDICTS)
    destination, source, single = row[:size], row[size : 2 * size], row[2 * size :]
    near, far = (destination, source) if way == "in" else (source, destination)
    merged = list(map(add, near if any(near) else far, single))
    if way == "in" and any(near):
        for column in REFUSED:
            merged[column] += far[column]
    return Counts(*merged)
