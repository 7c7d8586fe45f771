"""From whom the pieces of a download came, told piece by piece as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping

from minga_node.wire.http import format_pieces
from minga_node.wire.piece_set import Pieces


class Origins:
    """What one listener has been told."""

    def __init__(self) -> None:
        self._told: dict[str, Pieces] = {}

    def news(self, count: int, origins: Mapping[str, Pieces]) -> str:
        """JSON ``{"count": all pieces, "by": {peer: "0-3,7"}}`` of what came since; empty if nothing did."""
        fresh = {peer: pieces & ~self._told.get(peer, 0) for peer, pieces in origins.items()}
        fresh = {peer: pieces for peer, pieces in fresh.items() if pieces}
        if not fresh:
            return ""
        for peer, pieces in fresh.items():
            self._told[peer] = self._told.get(peer, 0) | pieces
        by = {peer: format_pieces(pieces) for peer, pieces in fresh.items()}
        return json.dumps({"count": count, "by": by}, ensure_ascii=False)
