"""How a node takes what is in a queue of its own."""

from __future__ import annotations

from collections.abc import Callable

from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from minga_node.mom.own import Delivery
from minga_node.mom.topology import Queue


def consume(
    channel: Channel,
    queue: Queue,
    prefetch: int,
    give: Callable[[Delivery], None],
    *,
    begun: Callable[[], None],
    cancelled: Callable[[str], None],
) -> None:
    """Asks for the messages of a queue.

    Args:
        begun: called when the broker has said that they come.
        cancelled: called with the reason when the broker sends no more: the queue was removed, or the member
            that has it is away (RabbitMQ's "consumer cancel notify").
    """

    def on_message(channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        tries = (properties.headers or {}).get("x-delivery-count", 0)
        count = tries if isinstance(tries, int) else 0
        give(Delivery(channel, int(method.delivery_tag or 0), body, count))

    channel.add_on_cancel_callback(
        lambda _frame: cancelled(f"it cancelled the consumer of the queue {queue.name}")
    )
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume(queue.name, on_message, callback=lambda _frame: begun())
