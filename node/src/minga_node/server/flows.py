"""``/api/v1/flows``: who receives what from whom, in the whole network."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from minga_node.model import Flow
from minga_node.server.access import by_name
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import answer
from minga_node.server.services import Services


class FlowOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    download: str = Field(description="Id of the download at the receiver")
    sender: str = Field(alias="from", description="Id of the peer that sends")
    receiver: str = Field(alias="to", description="Id of the peer that receives")
    bytes: int = Field(description="So far; asked again later, the difference is the rate")

    @classmethod
    def of(cls, flow: Flow) -> FlowOut:
        return cls(download=flow.download, sender=flow.sender, receiver=flow.receiver, bytes=flow.bytes)


class FlowsOut(BaseModel):
    flows: list[FlowOut]


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("flows", __name__)

    @routes.get("/api/v1/flows")
    @by_name
    @documented(
        Operation(
            "What every node receives, from whom; nodes that do not answer are left out", {200: FlowsOut}
        )
    )
    def flows() -> Response:
        return answer(FlowsOut(flows=[FlowOut.of(flow) for flow in services.flows()]))

    return routes
