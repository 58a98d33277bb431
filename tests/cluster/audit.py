"""The API server's audit log: which user sent which request, as the server recorded it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

AuditEvent = dict[str, Any]

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


def events(log: Path, since: int = 0) -> Iterator[AuditEvent]:
    """Events (audit.k8s.io/v1, level Metadata) from byte `since` on, in the order of the answers, read as one goes.

    The log is written before the answer leaves, so what a client has seen answered is in it.
    """
    if not log.exists():
        return
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if line.endswith(b"\n"):  # else it is just being written
                yield json.loads(line)


def writes(requests: Iterable[AuditEvent], user: str | None = None) -> list[AuditEvent]:
    """The requests that write, by `user` if given. Refused ones count, dry runs do not."""
    return [
        event
        for event in requests
        if event["verb"] in WRITE_VERBS
        and event["stage"] == "ResponseComplete"
        and user in (None, event["user"]["username"])
        and "dryRun=" not in event["requestURI"]
    ]
