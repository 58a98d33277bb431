"""A line of any flow log, as one type."""

from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias, get_args

#: allowed, dropped: a policy engine let it pass, or refused it. audit: let pass, and would be refused if audit mode
#: were off. arrived: seen on the wire, and the log does not say what became of it. blocked: stopped by something other
#: than a NetworkPolicy (a security group, a load balancer's source ranges, a broken packet).
LogVerdict: TypeAlias = Literal["allowed", "dropped", "audit", "arrived", "blocked"]
LOG_VERDICTS: tuple[LogVerdict, ...] = get_args(LogVerdict)

#: At which end it was recorded: "src", "dst", or "" where the log has one view only.
Reporter: TypeAlias = Literal["src", "dst", ""]


class End(NamedTuple):
    """One end of a flow. "": the log does not say. `labels` are `key=value`, without Cilium's source prefix."""

    address: str = ""
    namespace: str = ""
    pod: str = ""
    labels: tuple[str, ...] = ()


class Flow(NamedTuple):
    """From the end that opened the connection to the end that was called. `reply` None: the log does not say which
    way it went."""

    source: End
    destination: End
    protocol: str
    port: int
    verdict: LogVerdict
    source_port: int = 0
    reporter: Reporter = ""
    reply: bool | None = False
    times: int = 1


class Passed(StrEnum):
    """Why a line that was understood is passed over: it says nothing about who may connect."""

    REPLY = "replies"
    NOT_A_CONNECTION = "not TCP, UDP or SCTP"
    NO_VERDICT = "no verdict"
    NO_DATA = "no data"
    NOT_A_FLOW = "not a flow"


Parsed: TypeAlias = Flow | Passed

PROTOCOLS = {"6": "TCP", "17": "UDP", "132": "SCTP"}


class BadLine(ValueError):
    """A line that is not what its format promises."""


def port_number(value: object) -> int:
    """A port as the logs write it, number or digits; BadLine outside 1 to 65535."""
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise BadLine("a port that is not a number") from error
    if not 0 < number < 65536:
        raise BadLine("a port outside 1 to 65535")
    return int(number)


def protocol_of(written: str) -> str:
    """TCP, UDP or SCTP, written as a name or as its number; "" for any other."""
    name = PROTOCOLS.get(written, written.upper())
    return name if name in PROTOCOLS.values() else ""


def flow_of_addresses(
    source: str, destination: str, protocol: str, port: str, verdict: LogVerdict, source_port: str, reply: bool | None
) -> Flow:
    """A flow of a log that knows addresses alone; a source port that is not readable is left out."""
    known = int(source_port) if source_port.isdecimal() else 0
    return Flow(End(source), End(destination), protocol, port_number(port), verdict, known, "", reply)
