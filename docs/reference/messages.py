"""What is told through the broker."""

from __future__ import annotations

from docs.reference.markdown import code, table, whole
from minga_node.events.schema import schema
from minga_node.events.types import PREFIX, TYPES, Kind, Type
from minga_node.mom.topology import Topology

_KINDS = {
    Kind.ID: "64 hex digits",
    Kind.SIGNATURE: "192 hex digits",
    Kind.TEXT: "text",
    Kind.INTEGER: "integer",
    Kind.BOOLEAN: "boolean",
}


def page() -> str:
    """Exchanges and queues, then one section a type."""
    names = Topology("NETWORK")
    return whole(
        "Messages",
        "CloudEvents 1.0 in JSON, one a message. For tools there is a [JSON"
        f" Schema](../events.schema.json). The `type` is `{PREFIX}` and the routing key.",
        "## Exchanges and queues",
        table(
            ["name", "what it is"],
            [
                [code(names.events), "topic exchange of all events, by routing key"],
                [code(names.event_queue("PEER").name), "a node's queue of events"],
                [code(names.jobs), "direct exchange of jobs; the routing key is the node's id"],
                [code(names.job_queue("PEER").name), "a node's queue of jobs"],
                [code(names.spoilt), "headers exchange: of events, those that could not be used"],
                [code(names.dead), "exchange and queue of what could not be used"],
            ],
        ),
        "## Attributes",
        "Of every event and job; what is special to its type is in `data`.",
        table(
            ["attribute", "what it is"],
            [[code(name), about["description"]] for name, about in schema()["properties"].items()],
        ),
        "## Events",
        *(_type(type_) for type_ in TYPES.values() if not type_.job),
        "## Jobs",
        *(_type(type_) for type_ in TYPES.values() if type_.job),
    )


def _type(type_: Type) -> str:
    about = type_.meaning[0].upper() + type_.meaning[1:]
    fields = [
        [code(field.name), _KINDS[field.kind] + (", optional" if field.optional else ""), field.meaning]
        for field in type_.fields
    ]
    return "\n\n".join([
        f"### {type_.routing_key}",
        f"{about}.",
        table(["field of `data`", "type", "what it is"], fields),
    ])
