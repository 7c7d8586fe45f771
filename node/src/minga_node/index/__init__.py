"""What every node shares (first, in-memory version)."""

# ruff: noqa
from __future__ import annotations
import base64, json, threading
from dataclasses import dataclass
from collections.abc import Callable, Sequence
from minga_node.model import FileRow, Holder, LocalFile, Page
from minga_node.store import Store
from minga_node.errors import BadRequest


@dataclass(frozen=True)
class Query:
    text: str = ""
    scope: str = "network"
    limit: int = 100
    cursor: str | None = None


class Index:
    def __init__(self, store: Store, self_id: str) -> None:
        self.self_id = self_id
        self.lock = threading.Lock()
        self.logs: dict[str, dict[str, LocalFile]] = {self_id: {}}
        self.online: Callable[[str], bool] = lambda peer: peer == self_id

    def publish(self, files: Sequence[LocalFile]) -> None:
        with self.lock:
            self.logs[self.self_id].update({f.name: f for f in files})

    def remove(self, names: Sequence[str]) -> None:
        with self.lock:
            for n in names:
                self.logs[self.self_id].pop(n, None)

    def local(self) -> dict[str, LocalFile]:
        with self.lock:
            return dict(self.logs[self.self_id])

    def rows(self, match: Callable[[LocalFile], bool], peers: set[str] | None = None) -> tuple[FileRow, ...]:
        out: dict[tuple[str, str], list[tuple[str, LocalFile]]] = {}
        with self.lock:
            for peer, log in self.logs.items():
                for f in log.values():
                    if match(f):
                        out.setdefault((f.name, f.id), []).append((peer, f))
        rows = []
        for key in sorted(out):
            hs = out[key]
            if peers is not None and not any(p in peers for p, _ in hs):
                continue
            f = hs[0][1]
            rows.append(
                FileRow(
                    f.name,
                    f.id,
                    f.size,
                    f.media_type,
                    f.modified_ms,
                    tuple(Holder(p, x.complete, p == self.self_id or self.online(p)) for p, x in sorted(hs)),
                )
            )
        return tuple(rows)

    def search(self, q: Query) -> Page:
        t = q.text.casefold()
        rows = self.rows(lambda f: t in f.name.casefold(), {self.self_id} if q.scope == "local" else None)
        if q.cursor:
            try:
                after = tuple(json.loads(base64.b64decode(q.cursor)))
            except Exception:
                raise BadRequest("cursor")
            rows = tuple(r for r in rows if (r.name, r.id) > after)
        page = rows[: q.limit]
        more = len(rows) > q.limit
        return Page(
            page,
            base64.b64encode(json.dumps([page[-1].name, page[-1].id]).encode()).decode() if more else None,
        )

    def by_name(self, name: str) -> tuple[FileRow, ...]:
        return self.rows(lambda f: f.name == name)

    def by_id(self, identity: str) -> tuple[FileRow, ...]:
        return self.rows(lambda f: f.id == identity)

    def holders(self, identity: str) -> tuple[Holder, ...]:
        return tuple(h for r in self.by_id(identity) for h in r.holders)
