"""Files from the node to where the user wants them: complete and verified, or not at all."""

from __future__ import annotations

import hashlib
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click
from werkzeug.http import parse_date

from minga_node.cli.choosing import checked
from minga_node.cli.client import Client, ClientError
from minga_node.disk import set_attributes, write_sparse
from minga_node.manifest import hash_file
from minga_node.model import Attributes
from minga_node.names import cut
from minga_node.wire import TokenBucket

BLOCK = 1024 * 1024
ALGORITHMS = ("sha256", "sha512", "sha1", "md5", "blake2b")


class Saver:
    """Writes what ``get`` fetches.

    Args:
        output: a file, a folder, or ``-`` for standard output.
        several: whether it is a folder in any case.
        limit: bytes a second read from the node, 0 for no limit.
        may_replace: whether other files are overwritten.
    """

    def __init__(
        self, client: Client, output: str, several: bool, limit: float, *, may_replace: bool = False
    ) -> None:
        self.may_replace = may_replace
        self._client, self._output, self._several = client, output, several
        self._pace = TokenBucket(limit)
        self._folders: set[Path] = set()

    def target(self, name: str, below: str | None) -> Path | None:
        """Where a file of this name goes; ``None`` for standard output.

        Raises:
            ClientError: the name comes from the node, and would lead out of the folder.
        """
        if self._output == "-":
            return None
        target = Path(self._output)
        if self._several or self._output.endswith("/") or target.is_dir():
            target /= checked(self._client, below or checked(self._client, name).rsplit("/", 1)[-1])
        return target

    @staticmethod
    def is_there(target: Path | None, identity: str, size: int) -> bool:
        """Whether the file is complete there already."""
        try:
            if target is None or not target.is_file() or target.stat().st_size != size:
                return False
            return hash_file(target).id == identity
        except OSError:
            return False

    def copy(
        self,
        name: str,
        identity: str,
        size: int,
        target: Path | None,
        digest: tuple[str, str] | None,
        *,
        paced: bool = True,
    ) -> str:
        """Copies a content that the node has, and checks its id; where it is now.

        Without ``paced`` the limit is left aside: the bytes have waited for it on their way to the node.

        Raises:
            ClientError: it is not what its id or ``digest`` says.
        """
        with named(target):
            return self._copy(name, identity, size, target, digest, paced)

    def _copy(
        self,
        name: str,
        identity: str,
        size: int,
        target: Path | None,
        digest: tuple[str, str] | None,
        paced: bool,
    ) -> str:
        if self.is_there(target, identity, size):
            assert target is not None
            if digest is not None:
                check(target, target, *digest)
            return str(target)
        with ExitStack() as stack:
            response = stack.enter_context(self._client.open(f"/files/{quote(name)}", id=identity))
            if target is None:
                self._pour(response, sys.stdout.buffer.write, paced)
                sys.stdout.buffer.flush()
                return "-"
            if is_special(target):
                # As to standard output: what has gone into a pipe or device cannot be taken back.
                with target.open("wb") as out:
                    self._pour(response, out.write, paced)
                return str(target)
            self._check_free(target)
            partial = self._beside(target)
            stack.callback(partial.unlink, missing_ok=True)
            with partial.open("wb") as out:
                self._pour(response, lambda chunk: write_sparse(out, chunk), paced)
                out.truncate()
            if hash_file(partial).id != identity:
                raise ClientError(f"{target}: what came from the node is not what its id says")
            if digest is not None:
                check(partial, target, *digest)
            modified = parse_date(response.headers.get("Last-Modified"))
            executable = response.headers.get("Minga-Executable") == "1"
            set_attributes(partial, Attributes(modified.timestamp() if modified else None, executable))
            partial.replace(target)
            return str(target)

    def write(self, target: Path, body: bytes, attributes: Attributes) -> None:
        """A small file that is verified already.

        Raises:
            ClientError: what is there is a pipe or a device.
        """
        if is_special(target):
            raise ClientError(f"{target} is a pipe or a device: name it alone to write into it")
        self._check_free(target)
        self.wait(len(body))
        with named(target):
            partial = self._beside(target)
            try:
                partial.write_bytes(body)
                set_attributes(partial, attributes)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def wait(self, count: int) -> None:
        """Keeps to the limit."""
        if seconds := self._pace.take(count):
            time.sleep(seconds)

    def _check_free(self, target: Path) -> None:
        if not self.may_replace and target.exists():
            raise ClientError(f"{target} is another file: --force overwrites it")

    def _beside(self, target: Path) -> Path:
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(target.parent)
        return target.with_name(f".{cut(target.name, 200)}.{uuid.uuid4().hex[:12]}.part")

    def _pour(self, response: Any, write: Callable[[bytes], Any], paced: bool) -> None:
        for chunk in response.stream(BLOCK):
            if paced:
                self.wait(len(chunk))
            write(chunk)


@contextmanager
def named(target: Path | None) -> Iterator[None]:
    """What the system says of a file that is not there yet is said of the one that it is to be.

    Raises:
        ClientError
    """
    try:
        yield
    except OSError as error:
        if target is None or isinstance(error, BrokenPipeError):
            raise
        raise ClientError(f"{target} cannot be written: {error.strerror or error}") from None


def is_special(target: Path) -> bool:
    """Whether there is a pipe, a device or a socket, which to replace by a file would be a surprise."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def parse_checksum(text: str) -> tuple[str, str]:
    """``sha256:9f86…`` as algorithm and digest."""
    algorithm, _, expected = text.partition(":")
    if algorithm not in ALGORITHMS or not expected:
        raise click.UsageError(
            f"--checksum is {text!r}: expected one of {', '.join(ALGORITHMS)}, a colon and hex"
        )
    return algorithm, expected.lower()


def check(file: Path, target: Path, algorithm: str, expected: str) -> None:
    """Raises ClientError where a file has another digest."""
    with file.open("rb") as stream:
        found = digest_of(stream, algorithm)
    if found != expected:
        raise ClientError(f"{target}: its {algorithm} is {found}, not {expected}")


def digest_of(stream: IO[bytes], algorithm: str) -> str:
    return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]
