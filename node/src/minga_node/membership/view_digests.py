"""What a node tells others of everybody it knows: one digest for each node. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping

from minga_node.index import LogState
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.view import View


def view_digests(
    view: View, logs: Mapping[str, LogState], since: int | None = None, also: Container[str] = ()
) -> dict[str, Digest]:
    """A digest for each node that ``view`` knows, this one among them, by id.

    Args:
        logs: how much of each log is here.
        since: a place in the view's history; nodes that rest and have not changed since then are left out.
        also: ids of nodes whose digest is wanted all the same.
    """
    own = logs[view.self_id]
    found = {
        view.self_id: Digest(
            view.self_id,
            own.epoch,
            view.heartbeat,
            own.version,
            own.compacted,
            view.started,
            view.left,
            goodbye=view.goodbye,
        )
    }
    for id_, known in view.known.items():
        if since is not None and known.resting and known.changed <= since and id_ not in also:
            continue
        state = logs.get(id_)
        held = state if state is not None and state.epoch >= known.epoch else LogState(known.epoch, 0)
        peer = known.peer
        current = peer is not None and (peer.epoch, peer.started) >= (held.epoch, known.started)
        found[id_] = Digest(
            id_,
            held.epoch,
            known.heartbeat,
            held.version,
            held.compacted,
            known.started if current else 0,
            known.left,
            held.unproven,
            known.goodbye,
        )
    return found
