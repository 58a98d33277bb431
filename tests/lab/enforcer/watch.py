"""List and watch in its smallest form that loses nothing: the next list has what a broken watch missed."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

RETRY_SECONDS = 0.2
WATCH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Server:
    """Where the API server is, and the token to use."""

    url: str
    token: str
    ca_file: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything there is of one kind."""

    kind: str
    objects: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object added, modified or deleted."""

    kind: str
    object: Any
    deleted: bool


def fingerprint(objects: Iterable[Any]) -> str:
    """The same for the same objects in the same state, so that two readers can compare how far they are."""
    states = sorted(f"{item['metadata']['uid']} {item['metadata']['resourceVersion']}" for item in objects)
    return hashlib.sha256("\n".join(states).encode()).hexdigest()[:16]


def follow(server: Server, kind: str, path: str, report: Callable[[Listed | Changed], None]) -> threading.Thread:
    """Report every object under an API path, from a thread of its own, for as long as the process lives."""
    context = ssl.create_default_context(cafile=server.ca_file)
    headers = {"Authorization": f"Bearer {server.token}"}

    def get(query: str) -> Any:
        request = urllib.request.Request(f"{server.url}{path}?{query}", headers=headers)
        return urllib.request.urlopen(request, context=context, timeout=WATCH_SECONDS + 10)

    def once() -> None:
        with get("limit=0") as answer:
            listed = json.load(answer)
        version = listed["metadata"]["resourceVersion"]
        report(Listed(kind, tuple(listed["items"])))
        while True:  # each turn is one watch of WATCH_SECONDS; an error or a stale version ends it, and a list follows
            watch = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
            with get(watch) as answer:
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        report(Changed(kind, event["object"], event["type"] == "DELETED"))

    def forever() -> None:
        while True:
            try:
                once()
            except (OSError, ValueError) as error:
                print(json.dumps({"kind": kind, "retry": str(error)}), flush=True)
            time.sleep(RETRY_SECONDS)

    thread = threading.Thread(target=forever, name=f"watch-{kind}", daemon=True)
    thread.start()
    return thread
