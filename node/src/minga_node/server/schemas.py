"""The JSON that REST answers with, as models: written by them, documented by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from minga_node.manifest import piece_size
from minga_node.model import FileRow, Holder, Peer, PeerState, PeerStatus


def answer(model: BaseModel, status: int = 200) -> Response:
    """A model as a JSON response."""
    return Response(model.model_dump_json(by_alias=True) + "\n", status, content_type="application/json")


def encoded(body: dict[str, Any]) -> bytes:
    """The bytes of what is a model's JSON already."""
    return to_json(body) + b"\n"


def plain(body: bytes) -> Response:
    """A response of such bytes."""
    return Response(body, content_type="application/json")


class HolderOut(BaseModel):
    peer: str = Field(description="Id of the peer")
    complete: bool = Field(description="Whether it has all of the content")
    online: bool

    @classmethod
    def of(cls, holder: Holder) -> HolderOut:
        return cls(peer=holder.peer_id, complete=holder.complete, online=holder.online)


class FileOut(BaseModel):
    name: str
    id: str = Field(description="BLAKE3 of the manifest, 64 hex digits")
    size: int = Field(description="Bytes")
    pieces: int
    piece_size: int = Field(description="Bytes of every piece but the last")
    sha256: str | None = Field(
        description="SHA-256 of the whole, 64 hex digits; null while this node has not computed it"
    )
    media_type: str
    modified: int = Field(description="Milliseconds since 1970")
    executable: bool = Field(description="Whether who shared it could run it")
    available: bool = Field(description="Whether a complete holder is online")
    holders: list[HolderOut]

    @classmethod
    def of(cls, row: FileRow, sha256: str | None = None) -> FileOut:
        return cls(
            name=row.name,
            id=row.id,
            size=row.size,
            pieces=-(-row.size // piece_size(row.size)),
            piece_size=piece_size(row.size),
            sha256=sha256,
            media_type=row.media_type,
            modified=row.modified_ms,
            executable=row.executable,
            available=row.available,
            holders=[HolderOut.of(holder) for holder in row.holders],
        )


class FilesOut(BaseModel):
    files: list[FileOut]
    next_cursor: str | None = Field(description="For the `cursor` of the next request; null at the end")


def files_out(rows: Sequence[FileRow], sha256: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same as :meth:`FileOut.of` of each, without models: of a long list, they are most of the cost.

    Args:
        sha256: those that are known, by id.
    """
    # Rows that have the same holders mostly have the same tuple of them.
    holders: dict[int, tuple[bool, list[dict[str, Any]]]] = {}
    found = []
    for row in rows:
        held = holders.get(id(row.holders))
        if held is None:
            held = holders[id(row.holders)] = row.available, [_holder_out(one) for one in row.holders]
        found.append(_file_out(row, sha256.get(row.id), *held))
    return found


def _holder_out(holder: Holder) -> dict[str, Any]:
    return {"peer": holder.peer_id, "complete": holder.complete, "online": holder.online}


def _file_out(
    row: FileRow, sha256: str | None, available: bool, holders: list[dict[str, Any]]
) -> dict[str, Any]:
    piece = piece_size(row.size)
    return {
        "name": row.name,
        "id": row.id,
        "size": row.size,
        "pieces": -(-row.size // piece),
        "piece_size": piece,
        "sha256": sha256,
        "media_type": row.media_type,
        "modified": row.modified_ms,
        "executable": row.executable,
        "available": available,
        "holders": holders,
    }


class PeerOut(BaseModel):
    id: str
    state: PeerState
    silent: float = Field(description="Seconds since it was last heard of")
    host: str
    rest_port: int
    grpc_port: int
    data_port: int
    seed: bool
    version: str
    files: int = Field(description="Files that it has completely, as far as this node knows")
    bytes: int
    lag: int = Field(description="Changes of what it shares that this node has heard of and not got yet")
    answers: str = Field(
        description="Whether it answers calls: `yes`, `not here` (it is heard, and does not answer"
        " this node), or `nobody` (nor any of the others that were asked)"
    )

    @classmethod
    def of(cls, status: PeerStatus, held: tuple[int, int], lag: int) -> PeerOut:
        peer = status.peer
        return cls(
            id=peer.id,
            state=status.state,
            silent=round(status.silent, 3),
            host=peer.host,
            rest_port=peer.rest_port,
            grpc_port=peer.grpc_port,
            data_port=peer.data_port,
            seed=peer.seed,
            version=peer.version,
            files=held[0],
            bytes=held[1],
            lag=lag,
            answers=status.answers,
        )


class ProbeOut(BaseModel):
    """One peer, asked just now."""

    id: str
    host: str
    grpc_port: int
    problem: str = Field(description="Why it does not answer this node; empty if it does")
    back: str | None = Field(
        description="Why this node does not answer it; empty if it does, null where that could not be asked"
    )


class ProbesOut(BaseModel):
    probes: list[ProbeOut]


class PeersOut(BaseModel):
    peers: list[PeerOut]


class NetworkOut(BaseModel):
    """The network as this node sees it."""

    name: str
    files: int = Field(description="Contents under a name, whoever has them")
    bytes: int = Field(description="Their bytes, each once")
    peers_alive: int = Field(description="Other nodes")
    replication_target: int = Field(description="Complete copies that each file should have")
    files_below_target: int = Field(description="Contents with fewer complete copies online than that")


class NodeOut(BaseModel):
    """A node about itself; newcomers read it to join."""

    id: str
    network: str
    epoch: int
    host: str
    rest_port: int
    grpc_port: int
    data_port: int
    seed: bool
    version: str
    peer_tls: bool = Field(description="Whether it meets only peers that have a certificate, by mutual TLS")
    ready: bool
    problems: list[str] = Field(description="Why it is not ready")
    broker_connected: bool | None = Field(description="null without a broker")
    broker_problem: str = Field(
        description="Why it is away, or takes no messages though connected; empty when all is well"
    )
    files: int = Field(description="Files in its library")
    bytes: int
    peers_alive: int
    disk_free: int = Field(description="Bytes that may still be written where its files are")
    disk_total: int = Field(description="Bytes of that file system")
    unshareable: int = Field(description="Names in its directory that cannot be shared")
    unreadable: int = Field(description="Files in its directory that could not be shared for another reason")
    kept: int = Field(
        description="Files that got another name since the start, for they were not shared yet when another"
        " file got theirs"
    )
    troubles: list[str] = Field(description="Some of those three, with the reasons")

    @classmethod
    def of(cls, peer: Peer, **rest: Any) -> NodeOut:
        return cls(
            id=peer.id,
            epoch=peer.epoch,
            host=peer.host,
            rest_port=peer.rest_port,
            grpc_port=peer.grpc_port,
            data_port=peer.data_port,
            seed=peer.seed,
            version=peer.version,
            **rest,
        )


class HealthOut(BaseModel):
    status: str


class ReadyOut(HealthOut):
    degraded: list[str] = Field(description="What does not work, though the node serves")


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
