"""``/api/v1/wants`` and ``/api/v1/replications``: what is asked of the network."""

from __future__ import annotations

from typing import Annotated, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minga_node.errors import BadRequest
from minga_node.names import check_name
from minga_node.requests import JobKind, JobState, Replication, ReplicationState, SentJob, Want, WantState
from minga_node.server.documented import Operation, Parameter, documented
from minga_node.server.names import content_id, number
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


class JobOut(BaseModel):
    id: str
    kind: JobKind
    content_id: str
    name: str
    peer: str = Field(description="The node that is to do it")
    replication: str = Field(description="The request for copies that it serves; empty for none")
    state: JobState
    problem: str = Field(description="Why it failed; empty otherwise")
    asked: int = Field(description="Milliseconds since 1970")
    ended: int = Field(description="Milliseconds since 1970; 0 while it has not")

    @classmethod
    def of(cls, job: SentJob) -> JobOut:
        same = ("id", "kind", "content_id", "name", "replication", "state", "problem")
        fields = {key: getattr(job, key) for key in same}
        return cls(**fields, peer=job.peer_id, asked=job.asked_ms, ended=job.ended_ms)


class JobsOut(BaseModel):
    jobs: list[JobOut]


class LetterOut(BaseModel):
    queue: str = Field(description="Where it was found unusable")
    reason: str = Field(description="The broker's word: rejected, delivery_limit, expired or maxlen")
    since: int = Field(description="Milliseconds since 1970; 0 when the broker does not say")
    body: str = Field(description="The beginning of it")


class LettersOut(BaseModel):
    letters: list[LetterOut]


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

    @routes.delete("/replications/<identity>")
    @documented(Operation("Asks for no further copies", {200: ReplicationOut}), "DELETE")
    def cancel_replication(identity: str) -> Response:
        return answer(ReplicationOut.of(replications.cancel(identity)))

    _copies(routes, services)
    return routes


def _copies(routes: Blueprint, services: Services) -> None:
    """Fewer copies, the jobs that were sent, and what became of none."""
    messaging = services.messaging

    @routes.delete("/copies/<identity>")
    @documented(
        Operation(
            "Asks nodes to drop their copies of a content",
            {202: JobsOut},
            parameters=(
                Parameter("peer", "Whose copy, once for each. Without it: what is more than `keep`"),
                Parameter(
                    "keep",
                    "Complete copies that stay online; by default the network's replication target",
                    {"type": "integer", "minimum": 1},
                ),
            ),
        ),
        "DELETE",
    )
    def drop(identity: str) -> Response:
        keep = number("keep", 1, 1, 1000) if request.args.get("keep") else None
        sent = messaging.drops.request(content_id(identity), request.args.getlist("peer"), keep)
        return answer(JobsOut(jobs=[JobOut.of(job) for job in sent]), 202)

    @routes.get("/jobs")
    @documented(Operation("What this node asked others to do, the newest first", {200: JobsOut}))
    def jobs() -> Response:
        return answer(JobsOut(jobs=[JobOut.of(job) for job in messaging.sent_jobs()]))

    @routes.get("/jobs/<identity>")
    @documented(Operation("One job", {200: JobOut}))
    def job(identity: str) -> Response:
        return answer(JobOut.of(messaging.sent_job(identity)))

    @routes.get("/dead-letters")
    @documented(
        Operation(
            "Messages and jobs of the network that could not be used, the oldest first",
            {200: LettersOut},
            parameters=(Parameter("limit", "At most so many, 100 at most", {"type": "integer"}),),
        )
    )
    def dead_letters() -> Response:
        found = messaging.dead_letters(number("limit", 100, 1, 100))
        same = ("queue", "reason", "since", "body")
        return answer(
            LettersOut(letters=[LetterOut(**{key: getattr(each, key) for key in same}) for each in found])
        )
