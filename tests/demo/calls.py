"""Who asks whom, by real connections, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

#: Hosts that are no part of the cluster: two whom a policy names, and one whom none does.
CUSTOMER, PARTNER, STRANGER = "customer", "partner", "stranger"


@dataclass(frozen=True, slots=True)
class Call:
    """A host outside asks a Service by its load balancer; a pod, written NAMESPACE/APP, asks by its ClusterIP."""

    caller: str
    service: str
    port: int = 80


class LetIn(Enum):
    """What became of the connections of one call."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call's connections, and what the servers that answered said of themselves and of the caller.

    `source` is the caller's own address, `address` the one that it asked. `answered_by` and `saw` are sorted.
    """

    call: Call
    source: str
    address: str
    connections: int
    passed: int
    answered_by: tuple[str, ...] = ()
    saw: tuple[str, ...] = ()

    @property
    def let_in(self) -> LetIn:
        if not self.passed:
            return LetIn.NONE
        return LetIn.ALL if self.passed == self.connections else LetIn.SOME


@dataclass(frozen=True, slots=True)
class Stream:
    """A call made again and again. `passed_late`: let in after having been refused once."""

    call: Call
    connections: int
    passed: int
    passed_late: int

    @property
    def verdict(self) -> str:
        """In words: whether anybody was cut off, or came in again."""
        if self.passed == self.connections:
            return "never refused"
        if self.passed_late:
            return f"let in {self.passed_late} times after it had been refused"
        return f"let in {self.passed} times, then never again" if self.passed else "always refused"


Expected = Mapping[Call, LetIn]


def unlike(answers: Sequence[Answer], expected: Expected) -> list[str]:
    """What came out other than expected, in words."""
    return [
        f"{each.call.caller} to {each.call.service}: {each.passed} of {each.connections} let in, not {wanted.value}"
        for each in answers
        if each.let_in is not (wanted := expected[each.call])
    ]
