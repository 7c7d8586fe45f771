"""Has the node fetch files, one by one or many small ones in a batch, and shows how far that is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.progress import Progress

from minga_node import tar
from minga_node.cli.choosing import Wanted
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, size
from minga_node.cli.saving import Saver
from minga_node.errors import BadRequest
from minga_node.manifest import SMALLEST_PIECE_BYTES, Manifest

LOOK_SECONDS = 0.5
NOBODY = ("no holder", "manifest:")
"""How the reason begins why a download waits for somebody who has the file and can be reached."""


class Overall:
    """One bar for all files together, where there are several."""

    def __init__(self, progress: Progress, wanted: Sequence[Wanted]) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._moved: dict[str, int] = {}
        known = all(item.size >= 0 for item in wanted)
        total = sum(item.size for item in wanted) if known else None
        self.shown = len(wanted) > 1
        self._task = (
            progress.add_task(f"all {len(wanted)} files", total=total, note="") if self.shown else None
        )

    def add(self, count: int) -> None:
        """So many bytes more."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def moved(self, identity: str, verified: int) -> None:
        """One download has so many bytes now."""
        with self._lock:
            before, self._moved[identity] = self._moved.get(identity, 0), verified
        self.add(verified - before)


class Fetching:
    """Has the node fetch files, shows how far that is, and saves them. Results are ready for ``--json``."""

    def __init__(
        self,
        client: Client,
        out: Output,
        progress: Progress,
        saver: Saver,
        running: set[str],
        limit: int,
        timeout: float,
        overall: Overall,
    ) -> None:
        self._client, self._out, self._progress, self._saver = client, out, progress, saver
        self._running, self._limit, self._overall = running, limit, overall
        self._timeout = timeout

    def one(self, wanted: Wanted, digest: tuple[str, str] | None) -> dict[str, Any]:
        """One file, whatever its size."""
        if wanted.id is not None and wanted.size >= 0 and wanted.name is not None:
            target = self._saver.target(wanted.name, wanted.below)
            if self._saver.is_there(target, wanted.id, wanted.size):
                return self._result(wanted.name, wanted.id, wanted.size, str(target), "there already")
        download = self._follow(wanted)
        name, identity, count = download["name"], download["content_id"], download["size"]
        target = self._saver.target(name, wanted.below)
        came = sum(download["sources"].values())
        where = self._saver.copy(name, identity, count, target, digest, paced=came < count)
        return self._result(name, identity, count, where, "verified")

    def _result(self, name: str, identity: str, count: int, where: str, about: str) -> dict[str, Any]:
        if about == "there already":
            self._overall.add(count)
        if where != "-":
            self._out.say(f"{where}  {size(count)}, {about}")
        return {"name": name, "id": identity, "size": count, "path": where}

    def _follow(self, wanted: Wanted) -> dict[str, Any]:
        asked = {**wanted.asked(), "limit": self._limit}
        download: dict[str, Any] = self._client.post("/api/v1/downloads", asked)
        task = self._progress.add_task(download["name"], total=None, note="")
        identity = download["id"]
        self._running.add(identity)
        patience = Patience(self._timeout, self._out.hint)
        for state in self._states(identity):
            download = state
            patience.sees(download, time.monotonic())
            total = download["size"] if download["size"] >= 0 else None
            self._progress.update(task, total=total, completed=download["verified"], note=note(download))
            self._overall.moved(identity, download["verified"])
        self._running.discard(identity)
        if self._overall.shown:
            # Finished ones would push the others off the screen.
            self._progress.update(task, visible=False)
        if download["state"] != "complete":
            raise failure(download)
        return download

    def _states(self, identity: str) -> Iterator[dict[str, Any]]:
        """A download as it changes, to its end; while it waits for a holder, again and again."""
        path = f"/api/v1/downloads/{identity}"
        while True:
            for state in self._client.events(f"{path}/events"):
                yield state
                if state["state"] == "waiting":
                    break
            else:
                return
            while (state := self._client.get(path))["state"] == "waiting":
                yield state
                time.sleep(LOOK_SECONDS)

    def batch(self, files: Sequence[Wanted]) -> list[dict[str, Any]]:
        """Many small files in one request, each verified and saved as it comes."""
        left = {str(item.name): item for item in files}
        fetched = []
        for item in files:
            target = self._saver.target(str(item.name), item.below)
            if self._saver.is_there(target, str(item.id), item.size):
                del left[str(item.name)]
                fetched.append(
                    self._result(str(item.name), str(item.id), item.size, str(target), "there already")
                )
        if not left:
            return fetched
        asked = [{"name": name, "id": item.id, "size": item.size} for name, item in left.items()]
        identity = self._client.post("/api/v1/downloads", {"files": asked, "limit": self._limit})["id"]
        self._running.add(identity)
        task = self._progress.add_task(
            f"{len(left)} small files", total=sum(i.size for i in left.values()), note=""
        )
        looked = time.monotonic()
        try:
            with self._client.open(f"/api/v1/downloads/{identity}/archive") as response:
                for member in tar.members(response):
                    fetched.append(self._save(member, left))
                    self._progress.advance(task, member.size)
                    self._overall.add(member.size)
                    if time.monotonic() - looked > LOOK_SECONDS:
                        looked = time.monotonic()
                        self._progress.update(
                            task, note=note(self._client.get(f"/api/v1/downloads/{identity}"))
                        )
        except (BadRequest, ClientError):
            # The stream broke off: the download says why, unless it is the connection that broke.
            download = self._client.get(f"/api/v1/downloads/{identity}")
            if download["state"] in {"failed", "cancelled"}:
                raise failure(download) from None
            raise ClientError(
                f"the connection to {self._client.node} broke; the same command goes on"
            ) from None
        finally:
            self._running.discard(identity)
        if left:
            raise ClientError(
                f"{self._client.node} did not send {next(iter(left))} ({len(left)} files are missing)"
            )
        return fetched

    def _save(self, member: tar.TarMember, left: dict[str, Wanted]) -> dict[str, Any]:
        item = left.pop(member.name, None)
        if item is None:
            raise ClientError(f"{self._client.node} sends {member.name}, which was not asked for")
        body = member.read(member.size)
        target = self._saver.target(member.name, item.below)
        assert target is not None
        if len(body) > SMALLEST_PIECE_BYTES or Manifest.of_one_piece(body).id != item.id:
            raise ClientError(f"{target}: what came from the node is not what its id says")
        self._saver.write(target, body, member.attributes)
        return self._result(member.name, str(item.id), len(body), str(target), "verified")


class Patience:
    """Says when nobody who has a file is online, and ends the wait after a while.

    The node itself goes on waiting, so the same command goes on where it was.
    """

    def __init__(self, timeout: float, hint: Callable[[str], object]) -> None:
        self._timeout, self._hint = timeout, hint
        self._since: float | None = None
        self._said = False

    def sees(self, download: dict[str, Any], now: float) -> None:
        """A download as it is now.

        Raises:
            ClientError: nobody came in time.
        """
        alone = download["state"] == "waiting" or download["why"].startswith(NOBODY)
        if not alone:
            self._since = None
            return
        if self._since is None:
            self._since = now
        name, why = download["name"], download["why"]
        if now - self._since >= self._timeout:
            raise ClientError(
                f"{name}: {why} for {self._timeout:g} s (--timeout); the node goes on waiting for one, "
                "and the same command too (`minga downloads` shows it)",
                5,
            )
        if not self._said and now - self._since >= min(1.0, self._timeout / 2):
            self._said = True
            self._hint(f"{name}: {why}; waiting {self._timeout:g} s for one (--timeout)")


def note(download: dict[str, Any]) -> str:
    """What stands behind a progress bar: from how many peers it comes, and what holds it up."""
    peers = download["holders"]
    said = f"from {peers} peer{'' if peers == 1 else 's'}" if peers else ""
    if download["why"] not in {"running", "complete", "queued"}:
        said += f"{', ' if said else ''}{download['why']}"
    return said


def failure(download: dict[str, Any]) -> ClientError:
    code = 5 if download["error_type"] in {"no-holders", "gone"} else 1
    reason = download["error"] or download["why"] or f"the download is {download['state']}"
    return ClientError(f"{download['name']}: {reason}", code)
