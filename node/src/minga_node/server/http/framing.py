"""How a client can tell where an answer ends, and whether another may follow (RFC 9112, 6 and 9). Pure."""

from __future__ import annotations

from typing import NamedTuple

from minga_node.server.http.answers import AnswerStream, HttpAnswer
from minga_node.server.http.parsing import HttpRequest


class Framing(NamedTuple):
    """How one answer is sent."""

    fields: tuple[str, ...]
    """Lines of the head that say so, each with its end."""
    silent: bool
    """No body follows the head."""
    chunked: bool
    closing: bool
    """The connection ends with the answer."""


def frame(answer: HttpAnswer, request: HttpRequest, *, stopping: bool) -> Framing:
    """The framing of an answer to a request; ``stopping`` says that the server ends."""
    silent = request.method == "HEAD" or not answer.has_body
    closing = answer.closing or not request.keep_alive or not request.complete or stopping
    endless = isinstance(answer.body, AnswerStream) and answer.length is None and not silent
    chunked = endless and request.version == "1.1"
    # Of a body without length or chunks only the connection's end is the end.
    closing = closing or (endless and not chunked)
    fields = ["Transfer-Encoding: chunked\r\n"] if chunked else []
    if closing:
        fields.append("Connection: close\r\n")
    elif request.version == "1.0":
        fields.append("Connection: keep-alive\r\n")
    return Framing(tuple(fields), silent, chunked, closing)
