"""``/api/v1/drain``: hand over what only this node has, before it goes."""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minga_node.drain import DrainState
from minga_node.errors import BadRequest
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import answer
from minga_node.server.services import Services


class DrainIn(BaseModel):
    """Who else leaves."""

    model_config = ConfigDict(extra="forbid", strict=True)

    leaving: list[str] = Field(
        default_factory=list,
        max_length=10000,
        description="Ids of peers that leave too: their copies do not count",
    )


class DrainOut(BaseModel):
    draining: bool
    done: bool = Field(description="Whether this node may go and nothing is lost")
    files: int = Field(description="Contents that no other node that stays has completely")
    bytes: int

    @classmethod
    def of(cls, state: DrainState) -> DrainOut:
        return cls(draining=state.draining, done=state.done, files=state.files, bytes=state.bytes)


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("drain", __name__)

    @routes.post("/api/v1/drain")
    @documented(
        Operation("Ask others to take over what only this node has", {202: DrainOut}, body=DrainIn), "POST"
    )
    def start() -> Response:
        try:
            asked = DrainIn.model_validate_json(request.get_data() or b"{}")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise BadRequest(f"{where}: {first['msg']}") from None
        return answer(DrainOut.of(services.drain.start(asked.leaving)), 202)

    @routes.get("/api/v1/drain")
    @documented(Operation("How far that is", {200: DrainOut}))
    def state() -> Response:
        return answer(DrainOut.of(services.drain.state()))

    return routes
