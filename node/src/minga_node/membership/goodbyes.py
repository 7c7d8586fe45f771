"""Goodbyes: signed by who leaves, so that nobody else can say of a node that it is gone."""

from __future__ import annotations

from dataclasses import dataclass

from minga_node.index.log import Keys, statement, verified
from minga_node.metrics import GOSSIP_REFUSED

_GOODBYE = b"minga goodbye 1"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A node says that it leaves."""

    id: str
    epoch: int
    heartbeat: int
    """Its last."""
    signature: bytes = b""
    """64 bytes, the node's own of the above; empty from an earlier release."""


def goodbye_statement(network: str, goodbye: Goodbye) -> bytes:
    """What a node signs when it leaves."""
    return statement(_GOODBYE, network, goodbye.id, goodbye.epoch, goodbye.heartbeat)


class Goodbyes:
    """Signs this node's goodbye, and tells the goodbyes of others from forged ones. Any thread may call."""

    def __init__(self, keys: Keys, network: str) -> None:
        self._keys, self._network = keys, network

    def sign(self, id_: str, epoch: int, heartbeat: int) -> Goodbye:
        """This node's own."""
        said = goodbye_statement(self._network, Goodbye(id_, epoch, heartbeat))
        return Goodbye(id_, epoch, heartbeat, self._keys.own.sign(said))

    def believed(self, goodbye: Goodbye) -> bool:
        """Whether the node itself says so. One that has told no key is believed as it is."""
        key = self._keys.get(goodbye.id)
        if key is None or verified(key, goodbye.signature, goodbye_statement(self._network, goodbye)):
            return True
        GOSSIP_REFUSED.labels("goodbye").inc()
        return False
