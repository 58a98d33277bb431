"""Logs: one JSON object a line for machines, or plain text for people."""

import json
import logging
import sys
import time
from collections.abc import Mapping


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """The `extra` of a logging call, without empty lists. docs/reference/metrics.md explains every field."""
    return {"fields": {name: value for name, value in values.items() if value != []}}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class PlainText(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        values = " ".join(f"{key}={value}" for key, value in getattr(record, "fields", {}).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()}" + (f"  {values}" if values else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, form: str) -> None:
    """Everything goes to standard error. Kopf and aiohttp log only what is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else PlainText())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level.upper() != "DEBUG":
        for name in ("kopf", "aiohttp.access", "asyncio", "kubernetes"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns at each start that it handles no signals, which are the operator's here.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
