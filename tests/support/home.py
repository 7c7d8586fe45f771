"""A library over a real directory, which can be closed and opened again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from minga_node.library import Library
from minga_node.library.hashes import Hashes
from minga_node.library.watch import Watcher
from minga_node.manifest import Manifest, hash_open
from minga_node.manifests import Manifests
from minga_node.model import LocalFile
from minga_node.store import Store


class Shelf:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.files: dict[str, LocalFile] = {}
        self.log: list[str] = []

    def publish(self, files: Sequence[LocalFile]) -> None:
        self.files.update({file.name: file for file in files})
        self.log += [f"+{file.name}" for file in files]

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.files.pop(name, None)
        self.log += [f"-{name}" for name in names]

    def local(self) -> dict[str, LocalFile]:
        return dict(self.files)


class Home:
    """A library over a real directory, which can be closed and opened again."""

    def __init__(self, base: Path) -> None:
        self.directory = base / "files"
        self.directory.mkdir()
        self.state = base / "state.sqlite3"
        self.shelf = Shelf()
        self.hashed: list[str] = []
        self.watcher: Watcher | None = None
        self.quiet = 0.2
        self.boot = "this"

    def open(self) -> Library:
        store = self.store = Store(self.state)

        def hash_and_note(descriptor: int, name: str) -> Manifest:
            self.hashed.append(name)
            return hash_open(descriptor, name)

        self.library = Library(
            self.directory,
            self.directory / ".minga",
            Hashes(store, self.boot),
            self.shelf,
            Manifests(store),
            hash_and_note,
            together=store.write,
        )
        self.hashes = Hashes(store, self.boot)
        return self.library

    def watch(self, rescan: float = 3600) -> Library:
        library = self.open()
        self.watcher = Watcher(library, self.quiet, rescan)
        self.watcher.start()
        return library

    def close(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher = None

    def write(self, name: str, content: bytes = b"content") -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def shared(self, *names: str) -> Callable[[], bool]:
        return lambda: set(self.shelf.files) == set(names)
