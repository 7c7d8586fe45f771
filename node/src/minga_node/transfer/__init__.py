"""Bytes of content in and out: HTTP ranges from files to files, verified piece by piece."""

from minga_node.transfer.limiter import TokenBucket
from minga_node.transfer.partial import PartialFile
from minga_node.transfer.receiver import Receiver
from minga_node.transfer.receiving import Receiving
from minga_node.transfer.remote import Remote
from minga_node.transfer.server import Contents, Gossip, OpenContent, PieceServer

__all__ = [
    "Contents",
    "Gossip",
    "OpenContent",
    "PartialFile",
    "PieceServer",
    "Receiver",
    "Receiving",
    "Remote",
    "TokenBucket",
]
