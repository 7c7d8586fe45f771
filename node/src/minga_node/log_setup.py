"""Log lines: one an event, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from minga_node import tracing
from minga_node.visible import shortened, visible, visible_json

MOST_LINES = 200
"""Lines of a traceback that are logged: the last ones."""


class HumanFormatter(logging.Formatter):
    """``12:30:01 INFO    library  3 files shared``

    Whatever a message quotes, it stays one line, of a bounded length, without control characters; the lines
    of a traceback are indented, so that none of them looks like another event.
    """

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        part = record.name.removeprefix("minga_node.").split(".", maxsplit=1)[0]
        line = f"{when} {record.levelname:<7} {part:<10} {visible(shortened(record.getMessage()))}"
        if record.exc_info:
            line += "".join(f"\n    {visible(part)}" for part in _trace(self, record))
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
            "message": shortened(record.getMessage()),
        }
        if traceparent := tracing.traceparent():
            _, event["trace_id"], event["span_id"], _ = traceparent.split("-")
        if record.exc_info:
            event["error"] = "\n".join(_trace(self, record))
        return visible_json(json.dumps(event, ensure_ascii=False))


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """The lines of a traceback, with bounds: an error may quote what came from elsewhere."""
    lines = formatter.formatException(record.exc_info).split("\n") if record.exc_info else []
    return [shortened(line) for line in lines[-MOST_LINES:]]


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
        ("urllib3", logging.ERROR),
        ("watchdog", logging.WARNING),
        # What a stranger sends would make it tell of that, at length, each time.
        ("grpc", logging.CRITICAL),
    ):
        logging.getLogger(name).setLevel(least)
