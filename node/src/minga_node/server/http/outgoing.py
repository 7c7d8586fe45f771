"""An answer on its way into a socket that does not block: bytes, a file, or a stream."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from enum import Enum, auto

from minga_node.server.http.answers import AnswerStream, FileWrapper, HttpAnswer
from minga_node.streams import Pause

BURST_BYTES = 8 * 1024 * 1024
"""Bytes that are moved for one connection before others have their turn."""
SEND_ONCE_BYTES = 1 << 30


class After(Enum):
    """What sending ended with."""

    DONE = auto()
    FULL = auto()
    """The client takes no more for now."""
    TURN = auto()
    """There is more to send, but it is others' turn."""


class BrokenOff(ConnectionResetError):
    """The answer cannot be completed: the connection ends, lest a part be taken for the whole."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ECONNRESET, why)


class Outgoing:
    """Sends one answer at a time.

    Args:
        in_memory: longer files go by ``sendfile``, bytes.
    """

    def __init__(self, sock: socket.socket, in_memory: int) -> None:
        self._sock, self._in_memory = sock, in_memory
        self.moved = 0
        """Bytes that the kernel took since the connection began."""
        self._rest: memoryview | None = None
        self._answer: HttpAnswer | None = None
        self._file: FileWrapper | None = None
        self._offset = self._left = 0
        self._parts: Iterator[bytes | Pause] | None = None
        self._chunked = False

    def begin(self, answer: HttpAnswer, head: bytes, *, silent: bool, chunked: bool) -> After:
        """Sends the head, and with it a body that is no longer than what fits in memory. Raises OSError."""
        self._answer, self._chunked = answer, chunked
        body = answer.body
        if silent:
            self.push(head)
        elif isinstance(body, FileWrapper):
            self._offset, self._left = body.stream.tell(), answer.length or 0
            if self._left > self._in_memory:
                self._file = body
                self.push(head, socket.MSG_MORE)
            else:
                self.push(head + self._whole(body))
        elif isinstance(body, AnswerStream):
            self._parts, self._left = iter(body.parts), answer.length or 0
            self.push(head)
        else:
            self.push(head + b"".join(body))
        return After.TURN if self._file is not None or self._parts is not None else self._over()

    def _whole(self, wrapper: FileWrapper) -> bytes:
        data = os.pread(wrapper.stream.fileno(), self._left, self._offset)
        if len(data) < self._left or not _unchanged(wrapper):
            raise BrokenOff("the file is being changed")
        return data

    def push(self, data: bytes | memoryview, flags: int = 0) -> None:
        """Sends what goes, and keeps the rest. Raises OSError."""
        if self._rest is not None:
            self._rest = memoryview(bytes(self._rest) + data)
            return
        try:
            sent = self._sock.send(data, flags)
        except (BlockingIOError, InterruptedError):
            sent = 0
        self.moved += sent
        self._rest = memoryview(data)[sent:] if sent < len(data) else None

    def _flush(self) -> bool:
        """Whether nothing waits any more."""
        rest, self._rest = self._rest, None
        if rest is not None:
            self.push(rest)
        return self._rest is None

    def more(self) -> After | Pause:
        """Sends on, as far as the client takes it. Raises OSError, MingaError."""
        until = self.moved + BURST_BYTES
        while self.moved < until:
            if not self._flush():
                return After.FULL
            if self._file is not None:
                if not self._send_file(self._file):
                    return After.FULL
            elif self._parts is not None:
                pause = self._send_part(self._parts)
                if pause is not None:
                    return pause
            else:
                return self._over()
        return After.TURN

    def _over(self) -> After:
        """Everything is sent, or about to be."""
        if self._rest is not None:
            return After.FULL
        self.close()
        return After.DONE

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Whether more may go at once."""
        checked = wrapper.unchanged is not None and self._left <= SEND_ONCE_BYTES
        if checked and self._left == 1 and not _unchanged(wrapper):
            raise BrokenOff("the file is being changed")
        # The last byte goes when it is certain that all were of one version.
        wanted = self._left - 1 if checked and self._left > 1 else min(self._left, SEND_ONCE_BYTES)
        try:
            sent = os.sendfile(self._sock.fileno(), wrapper.stream.fileno(), self._offset, wanted)
        except (BlockingIOError, InterruptedError):
            return False
        if not sent:
            raise BrokenOff("the file has become shorter")
        self._offset += sent
        self._left -= sent
        self.moved += sent
        if not self._left:
            self._file = None
        return True

    def _send_part(self, parts: Iterator[bytes | Pause]) -> Pause | None:
        try:
            part = next(parts)
        except StopIteration:
            self._parts = None
            if self._chunked:
                self.push(b"0\r\n\r\n")
            elif self._left and self._answer is not None and self._answer.length is not None:
                raise BrokenOff("the answer ended early") from None
            return None
        if isinstance(part, Pause):
            return part
        if part:
            self._left -= len(part)
            self.push(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
        return None

    def close(self) -> None:
        """Ends the answer, wherever it is."""
        answer, self._answer = self._answer, None
        self._file = self._parts = self._rest = None
        if answer is not None:
            answer.close()


def _unchanged(wrapper: FileWrapper) -> bool:
    return wrapper.unchanged is None or wrapper.unchanged()
