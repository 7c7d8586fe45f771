"""One node's half of a round, without the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minga_node.errors import PeerMisbehaved
from minga_node.index import Delta, Entry, Index
from minga_node.membership.claims import PATIENCE
from minga_node.membership.gossip import Gossip
from minga_node.membership.messages import Reconcile
from minga_node.membership.scuttlebutt import Digest
from minga_node.membership.view import View
from minga_node.model import Peer
from minga_node.store import Store

OTHER = Peer("other", 5, "127.0.0.1", 1, 2, 3, started=1)


class Nobody:
    """Calls that nobody makes here."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.mark.parametrize("progress", [True, False], ids=["in a catch-up", "without sending anything"])
def test_a_caller_may_claim_what_it_has_not_sent_yet_only_while_something_comes(
    tmp_path: Path, progress: bool
) -> None:
    store = Store(tmp_path / "s.db")
    index = Index(store, "me")
    gossip = Gossip(index, View("me", 5, 15), Nobody(), lambda: Peer("me", 5, "h", 1, 2, 3), "test")
    claims = (Digest("other", 5, 9, 0, started=1), Digest("a", 5, 9, 100), Digest("b", 5, 9, 100))

    def rounds() -> None:
        for n in range(PATIENCE * 3):
            gossip.answer(Reconcile("test", OTHER, claims, 1000))
            if progress:
                index.apply(Delta("b", 5, n, n + 1, False, 0, [Entry(n + 1, f"n{n}", bytes(32))]))

    if progress:
        rounds()
    else:
        with pytest.raises(PeerMisbehaved, match="never sends"):
            rounds()
    index.close()
    store.close()
