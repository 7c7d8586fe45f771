"""``/api/v1/files`` (what there is) and ``/files/{name}`` (the contents themselves)."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Response, request
from werkzeug.http import parse_date

from minga_node.errors import AmbiguousName, BadRequest, Choice, NoHolders, NotFound, PreconditionFailed
from minga_node.index import Index, Query
from minga_node.model import Attributes, FileRow, Holder, LocalFile
from minga_node.names import check_name
from minga_node.server.access import by_name, granted, need_read, need_write, readable
from minga_node.server.documented import Operation, Parameter, documented
from minga_node.server.early import before_body
from minga_node.server.filters import FILTERS, filters
from minga_node.server.names import beginning_of_id, content_id, name_from_path, number
from minga_node.server.remembered import Remembered
from minga_node.server.same_origin import check_act
from minga_node.server.schemas import FileOut, FilesOut, answer, encoded, files_out, plain
from minga_node.server.sending import (
    EXECUTABLE,
    check_match,
    empty,
    from_chunks,
    from_file,
    headers,
    not_modified,
    wanted_range,
)
from minga_node.server.services import Services

CONTENT = "the content; 206 for a range"
DEFAULT_ROWS = 100
MOST_ROWS = 1000


def choose(index: Index, name: str, identity: str | None, peer: str | None) -> FileRow:
    """The one content that a name, an id or both mean.

    Raises:
        NotFound: nobody ever published it, or the caller may not know of it.
        AmbiguousName: several contents have the name, and neither id nor peer tells which.
    """
    rows = readable(index.by_name(name))
    if identity is not None:
        rows = tuple(row for row in rows if row.id == identity)
    if peer is not None:
        rows = tuple(row for row in rows if any(holder.peer_id == peer for holder in row.holders))
    if not rows:
        raise NotFound(f"nobody shares {name}" + (f" at {peer}" if peer else ""))
    if len({row.id for row in rows}) > 1:
        raise AmbiguousName(
            f"{name} stands for several contents: name an id or a peer",
            [Choice(row.id, row.size, tuple(holder.peer_id for holder in row.holders)) for row in rows],
        )
    return rows[0]


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("files", __name__)
    library, index = services.library, services.index

    remembered = Remembered(lambda: index.version, index.is_online)

    def listed(rows: Sequence[FileRow], next_cursor: str | None) -> bytes:
        files = files_out(rows, services.digests.known(row.id for row in rows))
        return encoded({"files": files, "next_cursor": next_cursor})

    def local_row(file: LocalFile) -> FileRow:
        own = Holder(services.self_peer().id, complete=True, online=True)
        rows = [row for row in index.by_name(file.name) if row.id == file.id]
        if rows:
            return rows[0]
        return FileRow(
            file.name, file.id, file.size, file.media_type, file.modified_ms, (own,), file.executable
        )

    @routes.get("/api/v1/files")
    @by_name
    @documented(
        Operation(
            "Files by part of their name",
            {200: FilesOut},
            (
                Parameter("q", "Part of a name, or a glob; without it everything"),
                Parameter("name", "Only what has exactly this name; the rest does not count then"),
                Parameter(
                    "id", "Only contents whose id begins so, 4 digits at least; the rest does not count then"
                ),
                Parameter(
                    "scope",
                    "`network` (default) or `local`",
                    {"type": "string", "enum": ["network", "local"]},
                ),
                Parameter("limit", "Rows at most", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}),
                Parameter("cursor", "`next_cursor` of the answer before"),
                *FILTERS,
            ),
        )
    )
    def search() -> Response:
        asked, version = (request.query_string, granted().prefixes), index.version
        body = remembered.get(asked)
        if body is None:
            rows, next_cursor = found()
            body = listed(rows, next_cursor)
            if "available" not in request.args:  # that depends on all peers
                online = {holder.peer_id: holder.online for row in rows for holder in row.holders}
                remembered.put(asked, version, online, body)
        return plain(body)

    def found() -> tuple[Sequence[FileRow], str | None]:
        if "name" in request.args:
            return readable(index.by_name(check_name(request.args["name"]))), None
        if "id" in request.args:
            return readable(index.by_beginning(beginning_of_id(request.args["id"]), MOST_ROWS)), None
        scope = request.args.get("scope", "network")
        if scope not in {"network", "local"}:
            raise BadRequest(f"scope is {scope!r}: expected network or local")
        page = index.search(
            Query(
                text=request.args.get("q", ""),
                scope=scope,
                limit=number("limit", DEFAULT_ROWS, 1, MOST_ROWS),
                cursor=request.args.get("cursor") or None,
                under=granted().prefixes,
                **filters(),
            )
        )
        return page.rows, page.next_cursor

    @routes.get("/files/<name:name>")
    @by_name
    @documented(
        Operation(
            "A file; one that is not here is fetched and sent at the same time",
            {200: CONTENT},
            (
                Parameter("id", "Which content, where several have the name"),
                Parameter("peer", "Whose content, where several have the name"),
            ),
        )
    )
    @documented(Operation("The headers of GET", {200: "no body"}), "HEAD")
    def read(name: str) -> Response:
        name = name_from_path("/files/")
        need_read(name)
        identity = content_id(request.args["id"]) if "id" in request.args else None
        peer = request.args.get("peer")
        here = library.find(name)
        if here is not None and identity in {None, here.id} and peer in {None, services.self_peer().id}:
            return send_local(here)
        row = choose(index, name, identity, peer)
        return send_remote(row, peer)

    def send_local(file: LocalFile) -> Response:
        fields = headers(file.name, file.media_type, file.id, file.modified_ms, file.executable)
        check_match(file.id)
        if not_modified(file.id, file.modified_ms):
            return empty(304, fields)
        bounds = wanted_range(file.size, file.id, file.modified_ms)
        opened = library.open(file.name)
        if opened.file.id != file.id:
            opened.stream.close()
            raise NotFound(f"{file.name} is being changed")
        return from_file(opened.stream, file.size, bounds, fields)

    def send_remote(row: FileRow, peer: str | None) -> Response:
        fields = headers(row.name, row.media_type, row.id, row.modified_ms, row.executable)
        check_match(row.id)
        if not_modified(row.id, row.modified_ms):
            return empty(304, fields)
        bounds = wanted_range(row.size, row.id, row.modified_ms)
        if request.method == "HEAD":
            return empty(200, {**fields, "Content-Length": str(row.size)})
        opened = library.open_id(row.id)
        if opened is not None:
            return from_file(opened.stream, row.size, bounds, fields)
        # Its own word is of before it looked at its directory, or of a file that is being changed.
        own = services.self_peer().id
        if not any(holder.online and holder.peer_id != own for holder in row.holders):
            raise NoHolders(f"nobody who has {row.name} is online")
        check_act()
        services.downloads.start(row.id, row.name, peer)
        start, end = bounds or (0, row.size)
        return from_chunks(services.downloads.reading(row.id, start, end), row.size, bounds, fields)

    def whole() -> None:
        if "Content-Range" in request.headers:
            raise BadRequest("a file is put as a whole, without Content-Range")

    def may_write(name: str) -> None:
        """Raises what a PUT would be refused for, whatever its body is."""
        name = name_from_path("/files/")
        need_write(name)
        whole()
        library.may_put(name, check_preconditions, request.content_length)

    @routes.put("/files/<name:name>")
    @by_name
    @before_body(may_write)
    @documented(
        Operation(
            "Puts a file into this node's library; all of it or nothing. `Last-Modified` says when it was "
            "modified where it comes from, `Minga-Executable: 1` that it may be run",
            {201: FileOut, 200: FileOut},
            body="application/octet-stream",
        ),
        "PUT",
    )
    def write(name: str) -> Response:
        name = name_from_path("/files/")
        need_write(name)
        whole()
        # Not by Flask's stream, which would hide that the body may be a file already.
        body = request.environ["wsgi.input"]
        modified = parse_date(request.headers.get("Last-Modified"))
        executable = request.headers.get(EXECUTABLE) == "1"
        file, is_new = library.put(
            name,
            body,
            request.content_length,
            check_preconditions,
            Attributes(modified.timestamp() if modified else None, executable),
        )
        response = answer(FileOut.of(local_row(file)), 201 if is_new else 200)
        response.headers["ETag"] = f'"{file.id}"'
        if is_new:
            response.headers["Location"] = request.path
        return response

    @routes.delete("/files/<name:name>")
    @by_name
    @documented(Operation("Removes a file from this node's library", {204: "done"}), "DELETE")
    def delete(name: str) -> Response:
        name = name_from_path("/files/")
        need_write(name)
        library.delete(name, check_preconditions)
        return Response(status=204)

    def check_preconditions(here: str | None) -> None:
        """A file that is not hashed yet is none that the client can have meant."""
        if request.if_match and (here is None or here not in request.if_match):
            raise PreconditionFailed("the file here is another one")
        if here is not None and request.if_none_match and here in request.if_none_match:
            raise PreconditionFailed("the file is here already")

    return routes
