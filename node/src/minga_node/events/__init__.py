"""What is told through the broker: CloudEvents, and the outbox where they wait for it."""

from minga_node.events.cloud import Event, decode, make
from minga_node.events.outbox import Outbox
from minga_node.events.types import TYPES, Kind

__all__ = ["TYPES", "Event", "Kind", "Outbox", "decode", "make"]
