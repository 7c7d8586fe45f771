"""Many small contents from one holder: requests in a pipeline (RFC 9112, 9.3.2) on one kept-alive
connection.
"""

from __future__ import annotations

import io
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from minga_node.errors import BadRequest, PeerMisbehaved, PeerUnreachable
from minga_node.fetching.remote import Remote
from minga_node.fetching.response_reader import STALL_SECONDS
from minga_node.manifest import SMALLEST_PIECE_BYTES, Manifest
from minga_node.wire import http
from minga_node.wire.rate_limit import TokenBucket

AHEAD = 64
"""Requests sent before their answers came."""


LONGEST_PAUSE = 5.0
"""Seconds until a busy holder is asked again, at most."""


def fetch_many(
    remote: Remote,
    wanted: Iterable[str],
    *,
    name: str,
    limiter: TokenBucket,
    goes_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[str, bytes, Manifest | None]]:
    """Contents of at most one piece by their ids, in the order asked for.

    Yields the id, the bytes and the manifest that proves them; None instead of the manifest (and no bytes)
    for a content that the holder does not have or has wrong. No manifest is needed from elsewhere: that of a
    content of one piece follows from its bytes. What a busy holder refuses (503) is asked of it again, when
    it said, while ``goes_on``.

    Raises:
        PeerUnreachable, PeerMisbehaved: the rest does not come from this holder.
    """
    ids: Iterator[str] = iter(wanted)
    asked: deque[str] = deque()
    refused: list[str] = []
    pause = 0.0
    try:
        with remote.connect() as sock:
            sock.settimeout(STALL_SECONDS)
            with io.BufferedReader(socket.SocketIO(sock, "r"), 256 * 1024) as reader:
                while True:
                    if pause and not asked:
                        time.sleep(pause)
                        if not goes_on():
                            return
                        pause = 0.0
                        ids = chain(refused, ids)
                        refused = []
                    if len(asked) <= AHEAD // 2 and not pause:
                        more = list(islice(ids, AHEAD - len(asked)))
                        asked.extend(more)
                        sock.sendall(
                            b"".join(http.format_request(remote.host, one, (), name, 0) for one in more)
                        )
                    if not asked:
                        return
                    content_id = asked.popleft()
                    status, body, retry_after = _answer(reader, remote.peer_id)
                    if status == "503":
                        refused.append(content_id)
                        pause = min(LONGEST_PAUSE, max(pause, retry_after))
                        continue
                    wait = limiter.take(len(body))
                    if wait:
                        time.sleep(wait)
                    manifest = Manifest.of_one_piece(body) if status == "200" else None
                    if manifest is None or manifest.id != content_id:
                        yield content_id, b"", None
                    else:
                        yield content_id, body, manifest
    except (OSError, BadRequest) as error:
        raise PeerUnreachable(f"{remote.peer_id}: {error}") from error


def _answer(reader: io.BufferedIOBase, peer_id: str) -> tuple[str, bytes, float]:
    lines = []
    while (line := reader.readline(http.LARGEST_HEAD_BYTES)) not in {b"\r\n", b""}:
        lines.append(line)
        if len(lines) > 100:
            raise PeerMisbehaved(f"{peer_id} sends no end of its header")
    if not lines or not line:
        raise PeerUnreachable(f"{peer_id} closed the connection")
    head = http.parse_head(b"".join(lines)[:-2])
    length = head.fields.get("content-length", "")
    if not length.isdigit() or int(length) > SMALLEST_PIECE_BYTES:
        raise PeerMisbehaved(
            f"{peer_id} answers {length or 'an unknown number of'} bytes for a small content"
        )
    body = reader.read(int(length))
    if len(body) != int(length):
        raise PeerUnreachable(f"{peer_id} closed the connection in a content")
    retry_after = head.fields.get("retry-after", "1")
    return head.start[1], body, float(retry_after) if retry_after.isdigit() else 1.0
