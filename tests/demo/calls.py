"""Calls from a client to a Service by real connections, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

#: Hosts outside the cluster. A policy names the first two as clients; none names the third.
CUSTOMER, PARTNER, STRANGER = "customer", "partner", "stranger"


@dataclass(frozen=True, slots=True)
class Call:
    """A host outside calls the load balancer address of a Service; a pod, written NAMESPACE/APP, its ClusterIP."""

    caller: str
    service: str
    port: int = 80


class Admitted(Enum):
    """How many connections of one call were admitted."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call's connections.

    `source` is the caller's own address, `address` the one that it called. `answered_by` names the servers that
    answered, `saw` the source addresses that they saw; both are sorted.
    """

    call: Call
    source: str
    address: str
    connections: int
    passed: int
    answered_by: tuple[str, ...] = ()
    saw: tuple[str, ...] = ()

    @property
    def admitted(self) -> Admitted:
        if not self.passed:
            return Admitted.NONE
        return Admitted.ALL if self.passed == self.connections else Admitted.SOME


@dataclass(frozen=True, slots=True)
class Stream:
    """A call made again and again. `passed_late` connections were admitted after one had been refused."""

    call: Call
    connections: int
    passed: int
    passed_late: int

    @property
    def verdict(self) -> str:
        """In words: whether the stream was refused, and admitted again later."""
        if self.passed == self.connections:
            return "never refused"
        if self.passed_late:
            return f"admitted {self.passed_late} times after a refusal"
        return f"admitted {self.passed} times, then never again" if self.passed else "always refused"


Expected = Mapping[Call, Admitted]


def differences(answers: Sequence[Answer], expected: Expected) -> list[str]:
    """What came out other than expected, in words."""
    return [
        f"{answer.call.caller} to {answer.call.service}: "
        f"{answer.passed} of {answer.connections} admitted, not {wanted.value}"
        for answer in answers
        if answer.admitted is not (wanted := expected[answer.call])
    ]
