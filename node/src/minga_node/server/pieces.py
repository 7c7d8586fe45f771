"""``/pieces/{id}``: parts of a content by its id, for peers; also from a copy that is not whole yet."""

from __future__ import annotations

import os

from flask import Blueprint, Response

from minga_node.errors import NotFound
from minga_node.manifest import piece_size
from minga_node.server.access import by_name, granted, readable
from minga_node.server.documented import Operation, documented
from minga_node.server.names import content_id
from minga_node.server.sending import empty, from_file, not_modified, wanted_range
from minga_node.server.services import Services


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("pieces", __name__)

    @routes.get("/pieces/<identity>")
    @by_name
    @documented(
        Operation(
            "Verified bytes of a content, by Range; 404 where this node does not have them",
            {200: "the whole content", 206: "a range of it"},
        )
    )
    def pieces(identity: str) -> Response:
        if granted().is_limited and not readable(services.index.by_id(content_id(identity))):
            raise NotFound(f"nothing of the content {identity} is here")
        content = services.downloads.contents.open(content_id(identity))
        if content is None:
            raise NotFound(f"nothing of the content {identity} is here")
        try:
            fields = {
                "Content-Type": "application/octet-stream",
                "ETag": f'"{identity}"',
                "Accept-Ranges": "bytes",
                "Cache-Control": "public, max-age=31536000, immutable",
            }
            if not_modified(identity, 0):
                return empty(304, fields)
            bounds = wanted_range(content.size, identity, 0)
            start, end = bounds or (0, content.size)
            size = piece_size(content.size)
            if content.available is not None:
                lacking = [p for p in range(start // size, -(-end // size)) if not content.available >> p & 1]
                if lacking:
                    raise NotFound(f"{len(lacking)} pieces of this range are not here yet")
            stream = os.fdopen(os.dup(content.fileno()), "rb")
        finally:
            content.close()
        return from_file(stream, content.size, bounds, fields)

    return routes
