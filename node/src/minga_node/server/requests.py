"""``/api/v1/wants`` and ``/api/v1/replications``: what is asked of the network."""

from __future__ import annotations

from typing import Annotated, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minga_node.errors import BadRequest
from minga_node.names import check_name
from minga_node.requests import Replication, ReplicationState, Want, WantState
from minga_node.server.documented import Operation, documented
from minga_node.server.names import content_id
from minga_node.server.schemas import answer
from minga_node.server.services import Services

Model = TypeVar("Model", bound=BaseModel)


class WantIn(BaseModel):
    """What is looked for: a name or an id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = Field(None, description="Exact name of the file")
    id: str | None = Field(None, description="Id of the content")
    seconds: Annotated[int, Field(ge=1, le=365 * 86400)] = Field(7 * 86400, description="How long")
    fetch: bool = Field(False, description="Fetch it as soon as somebody has it")


class WantOut(BaseModel):
    id: str
    name: str | None
    content_id: str | None
    fetch: bool
    state: WantState
    created: int = Field(description="Milliseconds since 1970")
    expires: int = Field(description="Milliseconds since 1970")
    found_peer: str = Field(description="Who has it; empty while nobody does")
    found_name: str
    found_id: str

    @classmethod
    def of(cls, want: Want) -> WantOut:
        same = ("id", "name", "content_id", "fetch", "state", "found_peer", "found_name", "found_id")
        fields = {key: getattr(want, key) for key in same}
        return cls(**fields, created=want.created_ms, expires=want.expires_ms)


class WantsOut(BaseModel):
    wants: list[WantOut]


class ReplicationIn(BaseModel):
    """A content, and how many nodes are to have all of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    copies: Annotated[int, Field(ge=1, le=1000)]


class ReplicationOut(BaseModel):
    id: str
    content_id: str
    name: str
    size: int
    copies: int = Field(description="Complete holders asked for")
    holders: int = Field(description="Complete holders online")
    asked: list[str] = Field(description="Nodes that are at it")
    state: ReplicationState
    created: int = Field(description="Milliseconds since 1970")
    problem: str = Field(description="Why it does not go on; empty otherwise")
    upkeep: bool = Field(description="Asked for by the node itself, for the network's replication target")

    @classmethod
    def of(cls, each: Replication) -> ReplicationOut:
        same = ("id", "content_id", "name", "size", "copies", "holders", "state", "problem", "upkeep")
        fields = {key: getattr(each, key) for key in same}
        return cls(**fields, asked=list(each.asked), created=each.created_ms)


class ReplicationsOut(BaseModel):
    replications: list[ReplicationOut]


def _body(model: type[Model]) -> Model:
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadRequest(f"{where}: {first['msg']}") from None


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("requests", __name__, url_prefix="/api/v1")
    wants, replications = services.wants, services.replications

    @routes.post("/wants")
    @documented(Operation("Asks the network for a file", {201: WantOut}, body=WantIn), "POST")
    def want() -> Response:
        asked = _body(WantIn)
        if asked.id is not None:
            content_id(asked.id)
        if asked.name is not None:
            check_name(asked.name)
        made = wants.add(asked.name, asked.id, seconds=asked.seconds, fetch=asked.fetch)
        response = answer(WantOut.of(made), 201)
        response.headers["Location"] = f"/api/v1/wants/{made.id}"
        return response

    @routes.get("/wants")
    @documented(Operation("This node's wants, the newest first", {200: WantsOut}))
    def all_wants() -> Response:
        return answer(WantsOut(wants=[WantOut.of(each) for each in wants.list()]))

    @routes.get("/wants/<identity>")
    @documented(Operation("One want", {200: WantOut}))
    def one_want(identity: str) -> Response:
        return answer(WantOut.of(wants.get(identity)))

    @routes.delete("/wants/<identity>")
    @documented(Operation("Withdraws a want", {200: WantOut}), "DELETE")
    def withdraw(identity: str) -> Response:
        return answer(WantOut.of(wants.withdraw(identity)))

    @routes.post("/replications")
    @documented(
        Operation("Asks for complete copies of a content", {202: ReplicationOut}, body=ReplicationIn), "POST"
    )
    def replicate() -> Response:
        asked = _body(ReplicationIn)
        made = replications.request(content_id(asked.id), asked.copies)
        response = answer(ReplicationOut.of(made), 202)
        response.headers["Location"] = f"/api/v1/replications/{made.id}"
        return response

    @routes.get("/replications")
    @documented(Operation("What was asked of this node, the newest first", {200: ReplicationsOut}))
    def all_replications() -> Response:
        return answer(ReplicationsOut(replications=[ReplicationOut.of(each) for each in replications.list()]))

    @routes.get("/replications/<identity>")
    @documented(Operation("One request for copies", {200: ReplicationOut}))
    def one_replication(identity: str) -> Response:
        return answer(ReplicationOut.of(replications.get(identity)))

    return routes
