"""``/api/v1/wants`` and ``/api/v1/replications``: what is asked of the network."""

from __future__ import annotations

from typing import Annotated, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minga_node.errors import BadRequest, InsufficientScope, NotFound
from minga_node.index import Index
from minga_node.names import check_name
from minga_node.requests import JobKind, JobState, Replication, ReplicationState, SentJob, Want, WantState
from minga_node.server.access import by_name, granted, need_read, need_write, readable
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

    def allow(name: str | None) -> None:
        """Who may know of some names alone asks by name: what an id turns out to be called nobody can say."""
        if granted().is_limited and name is None:
            raise InsufficientScope("the token is for some names: say which name is wanted")
        need_write(name)

    def may_know(want: Want) -> bool:
        return not granted().is_limited or (want.name is not None and granted().reads(want.name))

    def known_want(identity: str) -> Want:
        found = wants.get(identity)
        if not may_know(found):
            raise NotFound(f"no want {identity}")
        return found

    @routes.post("/wants")
    @by_name
    @documented(Operation("Asks the network for a file", {201: WantOut}, body=WantIn), "POST")
    def want() -> Response:
        asked = _body(WantIn)
        if asked.id is not None:
            content_id(asked.id)
        if asked.name is not None:
            check_name(asked.name)
        allow(asked.name)
        made = wants.add(asked.name, asked.id, seconds=asked.seconds, fetch=asked.fetch)
        response = answer(WantOut.of(made), 201)
        response.headers["Location"] = f"/api/v1/wants/{made.id}"
        return response

    @routes.get("/wants")
    @by_name
    @documented(Operation("This node's wants, the newest first", {200: WantsOut}))
    def all_wants() -> Response:
        known = [each for each in wants.list() if may_know(each)]
        return answer(WantsOut(wants=[WantOut.of(each) for each in known]))

    @routes.get("/wants/<identity>")
    @by_name
    @documented(Operation("One want", {200: WantOut}))
    def one_want(identity: str) -> Response:
        return answer(WantOut.of(known_want(identity)))

    @routes.delete("/wants/<identity>")
    @by_name
    @documented(Operation("Withdraws a want", {200: WantOut}), "DELETE")
    def withdraw(identity: str) -> Response:
        known_want(identity)
        return answer(WantOut.of(wants.withdraw(identity)))

    def known_replication(identity: str) -> Replication:
        found = replications.get(identity)
        need_read(found.name, f"no replication {identity}")
        return found

    @routes.post("/replications")
    @by_name
    @documented(
        Operation("Asks for complete copies of a content", {202: ReplicationOut}, body=ReplicationIn), "POST"
    )
    def replicate() -> Response:
        asked = _body(ReplicationIn)
        allow_content(services.index, content_id(asked.id))
        made = replications.request(asked.id, asked.copies)
        response = answer(ReplicationOut.of(made), 202)
        response.headers["Location"] = f"/api/v1/replications/{made.id}"
        return response

    @routes.get("/replications")
    @by_name
    @documented(Operation("What was asked of this node, the newest first", {200: ReplicationsOut}))
    def all_replications() -> Response:
        return answer(
            ReplicationsOut(replications=[ReplicationOut.of(each) for each in readable(replications.list())])
        )

    @routes.get("/replications/<identity>")
    @by_name
    @documented(Operation("One request for copies", {200: ReplicationOut}))
    def one_replication(identity: str) -> Response:
        return answer(ReplicationOut.of(known_replication(identity)))

    @routes.delete("/replications/<identity>")
    @by_name
    @documented(Operation("Asks for no further copies", {200: ReplicationOut}), "DELETE")
    def cancel_replication(identity: str) -> Response:
        need_write(known_replication(identity).name)
        return answer(ReplicationOut.of(replications.cancel(identity)))

    _copies(routes, services)
    return routes


def allow_content(index: Index, identity: str) -> None:
    """Lets a caller ask for more or fewer copies of a content.

    Raises:
        NotFound: none of its names is one that the caller may know of.
        InsufficientScope: it has other names, too, which are not the caller's to decide about.
    """
    grant, rows = granted(), index.by_id(identity)
    if not grant.is_limited:
        return
    if not readable(rows):
        raise NotFound(f"nobody shares the content {identity}")
    if not all(grant.writes(row.name) for row in rows):
        raise InsufficientScope("the content has names that the token may not write, too")


def _copies(routes: Blueprint, services: Services) -> None:
    """Fewer copies, the jobs that were sent, and what became of none."""
    messaging = services.messaging

    @routes.delete("/copies/<identity>")
    @by_name
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
        allow_content(services.index, content_id(identity))
        sent = messaging.drops.request(identity, request.args.getlist("peer"), keep)
        return answer(JobsOut(jobs=[JobOut.of(job) for job in sent]), 202)

    @routes.get("/jobs")
    @by_name
    @documented(Operation("What this node asked others to do, the newest first", {200: JobsOut}))
    def jobs() -> Response:
        return answer(JobsOut(jobs=[JobOut.of(job) for job in readable(messaging.sent_jobs())]))

    @routes.get("/jobs/<identity>")
    @by_name
    @documented(Operation("One job", {200: JobOut}))
    def job(identity: str) -> Response:
        found = messaging.sent_job(identity)
        need_read(found.name, f"no job {identity}")
        return answer(JobOut.of(found))

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
