"""The node's end of the message broker (RabbitMQ): events and jobs, out and in.

``link`` makes one connection after the other, ``session`` is one of them. ``declarations`` makes exchanges
and queues, ``declaration_check`` looks again whether they are there. ``publisher`` empties the outbox,
``job_queue`` and ``taking`` take what comes. :class:`Mom` is what the rest of the node sees.

Threads: ``mom`` runs the connection's loop, and only it touches pika. ``mom-events`` gives events their
effect. Each ``mom-jobs-N`` does one job at a time.

Locks: one for each session, which keeps other threads from calling into a loop that has ended. Effects of an
event are one transaction of the store. A delivery is acknowledged after its commit.

Lifetime: a session lives as long as its connection. Queues outlast nodes; events wait in the node's queue
while it is away.
"""

from minga_node.mom.address import trust
from minga_node.mom.addresses import BrokerAddresses
from minga_node.mom.mom import Mom
from minga_node.mom.topology import Topology

__all__ = ["BrokerAddresses", "Mom", "Topology", "trust"]
