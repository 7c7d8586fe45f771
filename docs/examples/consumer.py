"""Prints what happens in a Minga network: python consumer.py AMQP_URL NETWORK [ROUTING_KEY]"""

import json
import sys

import pika

url, network, key = (*sys.argv[1:], "#")[:3]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
# A queue of our own; give it a name and durable=True to miss nothing while this does not run.
queue = channel.queue_declare("", exclusive=True).method.queue
channel.queue_bind(queue, f"minga.{network}.events", key)
print("listening", flush=True)
for method, _, body in channel.consume(queue):
    event = json.loads(body)
    print(event["type"], json.dumps(event["data"], ensure_ascii=False), flush=True)
    # After the work: what is not acknowledged comes again, with the same id.
    channel.basic_ack(method.delivery_tag)
