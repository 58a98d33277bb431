"""What a line of any flow log says, in one shape."""

from typing import Literal, NamedTuple, TypeAlias

#: allowed, dropped: a policy engine let it pass, or refused it. audit: let pass, and would be refused if audit mode
#: were off. arrived: seen on the wire, nobody says what became of it. blocked: stopped by something other than a
#: NetworkPolicy (a security group, a load balancer's source ranges, a broken packet).
Verdict: TypeAlias = Literal["allowed", "dropped", "audit", "arrived", "blocked"]
VERDICTS: tuple[Verdict, ...] = ("allowed", "dropped", "audit", "arrived", "blocked")

#: At which end it was recorded: "src", "dst", or "" where the log has one view only.
Reporter: TypeAlias = Literal["src", "dst", ""]


class End(NamedTuple):
    """One end of a flow. "" is: the log does not say. `labels` are `key=value`, a Cilium source prefix taken off."""

    address: str = ""
    namespace: str = ""
    pod: str = ""
    labels: tuple[str, ...] = ()


class Flow(NamedTuple):
    """From whoever opened the connection to where it was going. `reply` None: the log does not say which way it
    went."""

    source: End
    destination: End
    protocol: str
    port: int
    verdict: Verdict
    source_port: int = 0
    reporter: Reporter = ""
    reply: bool | None = False
    times: int = 1


class Passed(NamedTuple):
    """A line that was understood and says nothing about who may connect: the reason it is counted under."""

    reason: str


REPLY = Passed("replies")
NOT_A_CONNECTION = Passed("not TCP, UDP or SCTP")
NO_VERDICT = Passed("no verdict")
NO_DATA = Passed("no data")
NOT_A_FLOW = Passed("not a flow")

Parsed: TypeAlias = Flow | Passed

PROTOCOL_NUMBERS = {"6": "TCP", "17": "UDP", "132": "SCTP"}
PROTOCOLS = frozenset(PROTOCOL_NUMBERS.values())


class BadLine(ValueError):
    """A line that is not what its format promises."""


def port_number(value: object) -> int:
    """A port as the logs write it, number or digits; BadLine outside 1 to 65535."""
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise BadLine("a port that is no number") from error
    if not 0 < number < 65536:
        raise BadLine("a port outside 1 to 65535")
    return int(number)
