"""``/api/v1/archive``: many files in one request, as a tar stream, out of the network and into this node."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from minga_node import tar
from minga_node.errors import AmbiguousName, BadRequest, Choice, NoHolders, NotFound
from minga_node.index import Query
from minga_node.model import FileRow
from minga_node.names import check_name
from minga_node.server.access import by_name, granted
from minga_node.server.documented import Operation, Parameter, documented
from minga_node.server.filters import FILTERS, Filters, filters
from minga_node.server.http import AnswerStream
from minga_node.server.packing import Packing
from minga_node.server.same_origin import check_act
from minga_node.server.schemas import answer
from minga_node.server.services import Services
from minga_node.server.unpacking import Unpacking
from minga_node.streams import Pause

LISTED_FILES = 1000


class TakenOut(BaseModel):
    name: str
    id: str
    size: int


class RefusedOut(BaseModel):
    name: str
    reason: str


class ArchiveOut(BaseModel):
    """What came of an archive."""

    count: int = Field(description="Files that are in this node's library now")
    bytes: int
    files: list[TakenOut] = Field(description=f"The first {LISTED_FILES} of them")
    refused_count: int = Field(description="Entries that were left out")
    refused: list[RefusedOut] = Field(description=f"The first {LISTED_FILES} of those, each with its reason")


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("archive", __name__, url_prefix="/api/v1")
    packing = Packing(services)

    @routes.get("/archive")
    @by_name
    @documented(
        Operation(
            "Many files as one tar; those that are not here are fetched and sent as they come",
            {200: "a tar stream; it breaks off where a file cannot be had"},
            (
                Parameter("q", "Part of a name, or a glob; `*` is everything there is"),
                Parameter("peer", "Whose content, where several have one name"),
                *(each for each in FILTERS if each.name != "sort"),
            ),
        )
    )
    def pack() -> Response:
        text = request.args.get("q", "")
        if not text:
            # Everything may be more than this node's disk holds: nobody is to ask for it by mistake.
            raise BadRequest("q is missing: expected part of a name, or a glob; * for everything")
        check_act()
        rows = chosen(services, text, request.args.get("peer"))
        return _tar(packing.everything(rows), "minga.tar")

    @routes.get("/downloads/<identity>/archive")
    @by_name
    @documented(
        Operation(
            "The files of a batch as one tar, as they come",
            {200: "a tar stream; it breaks off where a file cannot be had"},
        )
    )
    def batch(identity: str) -> Response:
        grant = granted()
        if grant.is_limited and not all(map(grant.reads, services.downloads.names(identity))):
            raise NotFound(f"no batch {identity}")
        return _tar(packing.batch(identity), f"{identity}.tar")

    @routes.post("/archive")
    @by_name
    @documented(
        Operation(
            "Puts the files of a tar into this node's library; each all of it or nothing",
            {200: ArchiveOut},
            (Parameter("under", "Folder that goes before every name"),),
            body=tar.MEDIA_TYPE,
        ),
        "POST",
    )
    def unpack() -> Response:
        under = request.args.get("under", "").strip("/")
        if under:
            check_name(under)
        unpacking = Unpacking(services.library, f"{under}/" if under else "", LISTED_FILES, granted().writes)
        unpacking.run(request.stream)
        return answer(
            ArchiveOut(
                count=unpacking.count,
                bytes=unpacking.bytes,
                files=[TakenOut(name=file.name, id=file.id, size=file.size) for file in unpacking.files],
                refused_count=unpacking.refused_count,
                refused=[RefusedOut(name=name, reason=reason) for name, reason in unpacking.refused],
            )
        )

    return routes


def chosen(services: Services, text: str, peer: str | None) -> list[FileRow]:
    """One row for each name that is looked for.

    Raises:
        NotFound, AmbiguousName, NoHolders
    """
    rows: dict[str, FileRow] = {}
    cursor = None
    wanted: Filters = {**filters(), "sort": "name"}
    while True:
        page = services.index.search(
            Query(text=text, limit=1000, cursor=cursor, under=granted().prefixes, **wanted)
        )
        for row in page.rows:
            if peer is not None and all(holder.peer_id != peer for holder in row.holders):
                continue
            other = rows.setdefault(row.name, row)
            if other.id != row.id:
                raise AmbiguousName(
                    f"{row.name} stands for several contents: name a peer",
                    [Choice(r.id, r.size, tuple(h.peer_id for h in r.holders)) for r in (other, row)],
                )
        cursor = page.next_cursor
        if cursor is None:
            break
    if not rows:
        raise NotFound(f"nobody shares anything like {text!r}")
    for row in rows.values():
        if not any(holder.online for holder in row.holders):
            raise NoHolders(f"nobody who has {row.name} is online")
    return list(rows.values())


def _tar(stream: Iterator[bytes | Pause], name: str) -> Response:
    response = Response(AnswerStream(stream), content_type=tar.MEDIA_TYPE, direct_passthrough=True)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
