"""What happens in the network, as CloudEvents 1.0: made, kept for the broker, and shown to followers.

``types`` has all kinds. ``cloud`` makes, encodes and decodes an :class:`Event`. :class:`Outbox` keeps events
on the disk until the broker has confirmed them. ``files`` makes events of the log's entries, ``feed`` shows
events to whoever follows by REST.

Threads: none of its own. Events are made in the thread of what they tell. The connection to the broker reads
the outbox, REST follows the feed.

Locks: an event is written in the transaction of what it tells, so under the store's writer. The feed's two
locks guard its followers and the order in which they are told.

Lifetime: an event stays in the outbox until it is confirmed. A follower lives as long as its client's
request.
"""

from minga_node.events.cloud import CONTENT_TYPE, Event, decode, make, traceparent_of
from minga_node.events.outbox import Outbox, WaitingEvent
from minga_node.events.types import TYPES, Kind

__all__ = [
    "CONTENT_TYPE",
    "TYPES",
    "Event",
    "Kind",
    "Outbox",
    "WaitingEvent",
    "decode",
    "make",
    "traceparent_of",
]
