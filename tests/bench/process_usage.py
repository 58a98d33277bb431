"""The operator's process as seen from outside: its start, CPU and memory, and its requests in the audit log."""

import datetime
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.api import clock
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import USER

_TICKS = os.sysconf("SC_CLK_TCK")


def started(pid: int) -> float:
    """When the process was started, on `clock`; in steps of 10 ms."""
    return int(_stat(pid)[19]) / _TICKS


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads so far; in steps of 10 ms."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_mib(pid: int) -> float:
    """The most resident memory that it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no VmHWM")


def _stat(pid: int) -> list[str]:
    # The name in parentheses may hold anything, so the fields are counted from its end.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@dataclass(frozen=True, slots=True)
class Requests:
    """What the audit log has of the operator after a mark; times on `clock`."""

    first_list: float
    last_list: float
    first_write: float
    writes: dict[str, int]

    @property
    def other_writes(self) -> int:
        """Without renewals of the lease, which never stop."""
        return sum(count for resource, count in self.writes.items() if resource != "leases")


def requests(cluster: ControlPlane, since: int) -> Requests:
    """Lists and writes of NetworkPolicies give the times; writes are counted by resource."""
    shift = clock() - time.time()
    lists: list[tuple[float, float]] = []
    policies: list[float] = []
    writes: dict[str, int] = {}
    for event in cluster.audit_events(since):
        if event["user"]["username"] != USER or event["stage"] != "ResponseComplete":
            continue
        if event["verb"] == "list":
            lists.append(
                (_seconds(event["requestReceivedTimestamp"]) + shift, _seconds(event["stageTimestamp"]) + shift)
            )
    for event in cluster.writes(USER, since):
        reference = event["objectRef"]
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        writes[resource] = writes.get(resource, 0) + 1
        if resource == "networkpolicies":
            policies += (_seconds(event["requestReceivedTimestamp"]) + shift, _seconds(event["stageTimestamp"]) + shift)
    first_write = min(policies, default=0.0)
    # Intent is listed again and again; what counts is what was read before anything was written.
    before = [times for times in lists if times[0] < first_write]
    return Requests(
        first_list=min((began for began, _ in before), default=0.0),
        last_list=max((ended for _, ended in before), default=0.0),
        first_write=first_write,
        writes=writes,
    )


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
