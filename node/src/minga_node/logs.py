"""Log lines: one an event, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from minga_node import tracing


class HumanFormatter(logging.Formatter):
    """``12:30:01 INFO    library  3 files shared``"""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        part = record.name.removeprefix("minga_node.").split(".", maxsplit=1)[0]
        line = f"{when} {record.levelname:<7} {part:<10} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339), level, part, message and, after a failure of ours, error.

    Within a span also trace_id and span_id, as OpenTelemetry names them in logs that are not its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("minga_node."),
            "message": record.getMessage(),
        }
        if traceparent := tracing.traceparent():
            _, event["trace_id"], event["span_id"], _ = traceparent.split("-")
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def configure(style: str, level: str) -> None:
    """Sends the whole process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else HumanFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Libraries tell of each reconnection attempt; we say it once ourselves.
    for name, least in (
        ("pika", logging.CRITICAL),
        ("gunicorn", logging.WARNING),
        ("urllib3", logging.ERROR),
        ("watchdog", logging.WARNING),
    ):
        logging.getLogger(name).setLevel(least)
