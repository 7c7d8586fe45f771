"""``/api/v1/downloads``: start, look at, follow and cancel downloads of this node."""

from __future__ import annotations

import os.path
from collections.abc import Sequence

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minga_node.downloads import Download, DownloadState, SmallFile
from minga_node.errors import BadRequest, NotFound
from minga_node.index import Index
from minga_node.manifest import SMALLEST_PIECE_BYTES
from minga_node.model import FileRow
from minga_node.names import check_name
from minga_node.server.access import by_name, for_readers, granted, need_write, readable, still_granted
from minga_node.server.documented import Operation, Parameter, documented
from minga_node.server.files import choose
from minga_node.server.following import EventFollowing
from minga_node.server.http import AnswerStream
from minga_node.server.names import content_id
from minga_node.server.schemas import answer
from minga_node.server.services import Services

MOST_FILES = 100_000
"""Files in one batch."""


class SmallFileIn(BaseModel):
    """One file of a batch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="Its name in this node's library afterwards")
    id: str = Field(description="Id of the content")
    size: int = Field(
        ge=0, le=SMALLEST_PIECE_BYTES, description="Bytes: at most one piece of the smallest size"
    )


class DownloadIn(BaseModel):
    """What to fetch: a name, an id, or both; or many small files at once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = Field(None, description="Name in the network, and in this node's library afterwards")
    id: str | None = Field(None, description="Id of the content")
    peer: str | None = Field(None, description="Only the content that this peer has under the name")
    files: list[SmallFileIn] | None = Field(
        None,
        max_length=MOST_FILES,
        description="Small files, fetched in batches and shown as one download; goes without the keys above",
    )
    limit: int = Field(0, ge=0, description="Bytes a second at most; 0: only the node's own limit")


class DownloadOut(BaseModel):
    id: str
    content_id: str
    name: str
    state: DownloadState
    size: int = Field(description="Bytes; -1 while unknown")
    verified: int = Field(description="Bytes that are here and verified")
    pieces: int
    verified_pieces: int
    rate: float = Field(description="Bytes a second, lately")
    holders: int = Field(description="Nodes it fetches from")
    why: str = Field(description="Why it is not faster, or waits, or has ended")
    error: str
    error_type: str
    created: int = Field(description="Milliseconds since 1970")
    seconds: float
    sources: dict[str, int] = Field(description="Bytes by peer")
    duplicate_bytes: int
    corrupt_pieces: int
    stalls: int
    limit: float = Field(description="Bytes a second it may take; 0: only the node's own limit")

    @classmethod
    def of(cls, download: Download) -> DownloadOut:
        fields = {name: getattr(download, name) for name in cls.model_fields if name not in {"created"}}
        return cls(**fields, created=download.created_ms)


class DownloadsOut(BaseModel):
    downloads: list[DownloadOut]


def _asked() -> DownloadIn:
    try:
        asked = DownloadIn.model_validate_json(request.get_data())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadRequest(f"{where}: {first['msg']}") from None
    if asked.id is not None:
        content_id(asked.id)
    if asked.name is not None:
        check_name(asked.name)
    if asked.files is not None and (asked.id, asked.name, asked.peer) != (None, None, None):
        raise BadRequest("files goes without name, id and peer")
    for file in asked.files or ():
        content_id(file.id)
    return asked


def resolve(index: Index, asked: DownloadIn) -> FileRow:
    """The one row that was asked for.

    Raises:
        BadRequest, NotFound, AmbiguousName
    """
    if asked.id is None:
        if asked.name is None:
            raise BadRequest("name or id is missing: expected what to fetch")
        return choose(index, asked.name, None, asked.peer)
    rows = readable(index.by_id(asked.id))
    if asked.peer is not None:
        rows = tuple(row for row in rows if any(holder.peer_id == asked.peer for holder in row.holders))
    if not rows:
        raise NotFound(f"nobody shares the content {asked.id}")
    return next((row for row in rows if row.name == asked.name), rows[0])


def label(files: Sequence[SmallFile]) -> str:
    """What a batch is shown as: the folder that all its files are in, and how many they are."""
    folder = os.path.commonpath([os.path.dirname(file.name) for file in files]) if files else ""  # noqa: PTH120
    count = f"{len(files)} small file{'' if len(files) == 1 else 's'}"
    return f"{folder}/ ({count})" if folder else count


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("downloads", __name__, url_prefix="/api/v1/downloads")
    downloads = services.downloads
    following = EventFollowing(
        downloads, services.stopping, lambda download: DownloadOut.of(download).model_dump_json()
    )

    @routes.post("")
    @documented(
        Operation(
            "Starts to fetch a file, or many small ones, into this node's library",
            {202: DownloadOut},
            body=DownloadIn,
        ),
        "POST",
    )
    @for_readers
    @by_name
    def start() -> Response:
        asked = _asked()
        if asked.files is not None:
            files = [SmallFile(file.id, file.name, file.size) for file in asked.files]
            allow({(file.content_id, file.name) for file in files})
            download = downloads.start_many(files, label(files), limit=asked.limit)
        else:
            row = resolve(services.index, asked)
            allow({(row.id, asked.name or row.name)})
            download = downloads.start(row.id, asked.name or row.name, asked.peer, limit=asked.limit)
        response = answer(DownloadOut.of(download), 202)
        response.headers["Location"] = f"/api/v1/downloads/{download.id}"
        return response

    def known(identity: str) -> Download:
        """Raises NotFound, also where the caller may not know of it."""
        found = downloads.get(identity)
        if not is_known(found):
            raise NotFound(f"no download {identity}")
        return found

    def is_known(download: Download) -> bool:
        """Whether the caller may know of all that a download fetches."""
        grant = granted()
        return not grant.is_limited or all(map(grant.reads, downloads.names(download.id)))

    def allow(files: set[tuple[str, str]]) -> None:
        """Fetching is reading, as with ``GET /files``; giving a content a new name is not."""
        for identity, name in files:
            rows = readable(services.index.by_id(identity))
            if granted().is_limited and not rows:
                raise NotFound(f"nobody shares the content {identity}")
            if all(row.name != name for row in rows):
                need_write(name)

    @routes.get("")
    @by_name
    @documented(Operation("All downloads since the start of the node", {200: DownloadsOut}))
    def everything() -> Response:
        known_ones = filter(is_known, downloads.list())
        return answer(DownloadsOut(downloads=[DownloadOut.of(item) for item in known_ones]))

    @routes.get("/<identity>")
    @by_name
    @documented(Operation("One download", {200: DownloadOut}))
    def one(identity: str) -> Response:
        return answer(DownloadOut.of(known(identity)))

    @routes.get("/<identity>/events")
    @by_name
    @documented(
        Operation(
            "One download as it goes on, until its end",
            {200: "server-sent events, named by the download's state: DownloadOut each"},
            (
                Parameter(
                    "pieces",
                    "`true`: also events named `pieces`, {count, by}, by being {peer: `0-3,7`}: all pieces"
                    ' that are here, then those that came; under "" what was here before',
                    {"type": "boolean"},
                ),
            ),
        )
    )
    def events(identity: str) -> Response:
        known(identity)
        with_pieces = request.args.get("pieces") == "true"
        return Response(
            AnswerStream(following.follow(identity, with_pieces, still_granted(services))),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
            direct_passthrough=True,
        )

    @routes.delete("/<identity>")
    @by_name
    @documented(Operation("Cancels a download", {204: "done"}), "DELETE")
    def cancel(identity: str) -> Response:
        known(identity)
        need_write()
        downloads.cancel(identity)
        return Response(status=204)

    return routes
