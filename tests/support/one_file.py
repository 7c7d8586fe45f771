"""What a piece server needs to serve a single file."""

from __future__ import annotations

import os
from pathlib import Path

from minga_node.downloads.contents import CompleteContent
from minga_node.manifest import hash_file
from minga_node.uploads import Contents, OpenContent


class OneFile(Contents):
    """A library with nothing but this file."""

    def __init__(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.path, self.id = path, hash_file(path).id

    def open(self, content_id: str) -> OpenContent | None:
        return CompleteContent(os.open(self.path, os.O_RDONLY)) if content_id == self.id else None
