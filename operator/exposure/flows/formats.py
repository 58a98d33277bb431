"""The formats by name, and which of them a line is in."""

import json
from collections.abc import Callable
from typing import TypeAlias

from exposure.flows import calico, conntrack, hubble, netfilter, vpc
from exposure.flows.records import Parsed

Parser: TypeAlias = Callable[[bytes], Parsed]

#: Each makes a parser for one file: some remember that file's header.
FORMATS: dict[str, Callable[[], Parser]] = {
    "hubble": lambda: hubble.parse,
    "calico": lambda: calico.parse,
    "aws-vpc": vpc.VpcParser,
    "netfilter": lambda: netfilter.parse,
    "conntrack": lambda: conntrack.parse,
}


def detect(line: bytes) -> str | None:
    """The format of the line, by marks that only this format has; None: unknown, try the next line."""
    text = line.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return _json_format(text)
    parts = text.split()
    is_record = len(parts) == len(vpc.DEFAULT) and parts[0] == "2" and parts[-1] in ("OK", "NODATA", "SKIPDATA")
    if is_record or vpc.is_header(parts):
        return "aws-vpc"
    if "IN=" in text and "SRC=" in text and "DST=" in text:
        return "netfilter"
    if text.count("src=") >= 2 and text.count("dst=") >= 2:
        return "conntrack"
    return None


def _json_format(text: str) -> str | None:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    if "reporter" in raw and "action" in raw:
        return "calico"
    if isinstance(raw.get("flow"), dict) or "verdict" in raw or any(key in raw for key in hubble.NOT_FLOWS):
        return "hubble"
    return None
