"""What a record and a digest of a node must look like, wherever they come from. Pure."""

from __future__ import annotations

import re

from minga_node.index.log import KEY, SIGNED
from minga_node.membership.scuttlebutt import Digest
from minga_node.model import HOST, NODE_NAME, Peer

_VERSION = re.compile(r"[!-~]{0,64}")
_PORTS = range(1, 65536)


def record_problem(peer: Peer) -> str | None:
    """What is wrong with a node's record, apart from its signature; None if nothing is.

    A port of REST or of pieces may be 0: some nodes of tests and tools have none.
    """
    if not NODE_NAME.fullmatch(peer.id):
        return f"{peer.id[:128]!r} is no name of a node"
    if not HOST.fullmatch(peer.host):
        return f"{peer.host[:128]!r} is no host"
    if peer.grpc_port not in _PORTS or not all(
        port == 0 or port in _PORTS for port in (peer.rest_port, peer.data_port)
    ):
        return f"{peer.rest_port}, {peer.grpc_port} and {peer.data_port} are not all ports"
    if peer.epoch <= 0 or peer.started < 0:
        return f"{peer.epoch} and {peer.started} are no times"
    if not _VERSION.fullmatch(peer.version):
        return f"{peer.version[:64]!r} is no version"
    if (len(peer.key), len(peer.signature)) not in {(0, 0), (KEY, SIGNED - KEY)}:
        return f"a key of {len(peer.key)} bytes and a signature of {len(peer.signature)}"
    return None


def digest_problem(digest: Digest) -> str | None:
    """The same of a digest."""
    if not NODE_NAME.fullmatch(digest.id):
        return f"{digest.id[:128]!r} is no name of a node"
    if digest.epoch <= 0:
        return f"{digest.epoch} is no epoch"
    if digest.goodbye and not (digest.left and len(digest.goodbye) == SIGNED - KEY):
        return f"a goodbye of {len(digest.goodbye)} bytes"
    return None
