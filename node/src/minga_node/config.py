"""What a node can be told: the keys, their defaults, and what their values may be."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from minga_node.model import NODE_NAME, bracketed

DEFAULT_PORT = 5000
DEFAULT_GRPC_PORT = 50051

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Rate = Annotated[int, Field(ge=0)]


class Config(BaseModel):
    """All a node can be told. ``directory`` is the only key without a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    ip: str = Field("0.0.0.0", description="Address to listen on, for all three ports")
    port: Port = Field(DEFAULT_PORT, description="Port of REST and of the page; 0 takes a free one")
    directory: Path = Field(description="Directory whose files are shared, recursively")
    seed_peer: tuple[str, ...] = Field(
        (), description="REST address of a peer to join through, or a list of them; empty for the first node"
    )
    grpc_port: Port = Field(
        DEFAULT_GRPC_PORT,
        description="Port for the other nodes; 0 takes a free one, as does the default where it is taken",
    )
    grpc_reflection: bool = Field(
        False, description="Whether the port for other nodes tells everybody what its services are"
    )
    data_port: Port = Field(0, description="Port that serves pieces to other nodes; 0 takes a free one")
    name: str = Field(
        "", description="Id of this peer, unique in its network; by default the host's name and the port"
    )
    network: str = Field("minga", description="Name of the network; nodes of another name are refused")
    advertise: str = Field(
        "", description="Host by which others reach this node; found by itself when `ip` is a wildcard"
    )
    seed: bool = Field(False, description="Whether this node is shown as a seed")
    broker_url: tuple[str, ...] = Field(
        (), description="AMQP address of RabbitMQ, or a list of them; empty: events travel by gRPC alone"
    )
    broker_url_file: Path | None = Field(
        None,
        description="File that has such addresses instead, one a line, read at each connection: a password in"
        " it may change while the node runs",
    )
    broker_ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that the broker's certificate must be of, for amqps addresses;"
        " by default those that the system trusts",
    )
    state_directory: Path | None = Field(
        None, description="Where the node keeps its own state; by default `.minga` inside `directory`"
    )
    storage_limit: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Bytes that the directory may hold together with the node's own files in it; more is"
        " refused, as on a full disk. 0: no limit but the disk's",
    )
    storage_limit_file: Path | None = Field(
        None, description="File that holds this number instead; a change of it needs no restart"
    )
    tokens_directory: Path | None = Field(
        None,
        description="Directory whose files `read` and `write` hold the tokens that REST takes, one a line;"
        " unset: REST is open to everybody who reaches it",
    )
    peer_tls_directory: Path | None = Field(
        None,
        description="Directory whose files `tls.crt`, `tls.key` and `ca.crt` let this node and its peers know"
        " each other by mutual TLS, for gRPC and pieces; unset: whoever reaches their ports can join",
    )
    protect_metrics: bool = Field(
        False, description="Whether `/metrics` needs a token too, where there are tokens"
    )
    log_format: Literal["human", "json"] = Field("human", description="How log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
    upload_limit: Rate = Field(0, description="Bytes a second sent to peers, at most; 0: no limit")
    download_limit: Rate = Field(0, description="Bytes a second fetched from peers, at most; 0: no limit")
    parallelism: Annotated[int, Field(ge=1, le=256)] = Field(4, description="Downloads that run at once")
    upload_slots: Annotated[int, Field(ge=1, le=1024)] = Field(
        8, description="Requests for pieces that are answered at once; further ones wait in a fair queue"
    )
    rest_threads: Annotated[int, Field(ge=2, le=1024)] = Field(64, description="REST requests served at once")
    rest_connections: Annotated[int, Field(ge=16, le=1_000_000)] = Field(
        10_000,
        description="Connections to REST at once; beyond it, those go that wait longest for their client",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Further names by which browsers may reach this node, such as files.example.com or"
        " *.example.com; `*` for any",
    )
    gossip_seconds: Seconds = Field(1.0, description="Time between two rounds of gossip")
    suspect_seconds: Seconds = Field(5.0, description="Silence after which a peer is suspected")
    dead_seconds: Seconds = Field(15.0, description="Silence after which a peer counts as dead")
    forget_seconds: Annotated[float, Field(ge=1, le=365 * 86400)] = Field(
        604_800.0, description="Silence after which a dead peer, and what it shared, is forgotten"
    )
    forget_left_seconds: Annotated[float, Field(ge=1, le=365 * 86400)] = Field(
        3_600.0, description="The same of a peer that said goodbye"
    )
    quiet_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        1.0, description="How long a file must be left alone before it is shared"
    )
    sha256: bool = Field(
        True,
        description="Whether the SHA-256 of every file here is computed, when there is nothing else to do",
    )
    rescan_seconds: Seconds = Field(30.0, description="Time between two looks at the whole directory")
    replication_target: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="Complete copies that each file of the network should have; above 1 it needs a broker"
    )
    replication_delay_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = Field(
        300.0, description="How long a node may be away before its copies are replaced by others"
    )

    stalled_seconds: Seconds = Field(
        300.0,
        description="Time without one more verified byte after which a copy that another node asked for has"
        " failed for this time",
    )

    @field_validator("seed_peer", "broker_url", "allowed_hosts", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(item.strip() for item in value if item.strip())
        return value

    @field_validator("seed_peer")
    @classmethod
    def _seeds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_rest_url(item) for item in value)

    @field_validator("broker_url")
    @classmethod
    def _brokers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            parts = urlsplit(item)
            if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
                raise ValueError("an AMQP address such as amqp://user:password@host:5672/vhost")
        return value

    @field_validator("broker_url_file")
    @classmethod
    def _either(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("broker_url"):
            raise ValueError("none beside broker_url")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", item):
                raise ValueError("host names without a port, such as files.example.com or *.example.com")
        return tuple(item.lower() for item in value)

    @field_validator("ip")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError("an IP address such as 0.0.0.0 or 127.0.0.1") from None

    @field_validator("name")
    @classmethod
    def _peer_id(cls, value: str) -> str:
        if value and not NODE_NAME.fullmatch(value):
            raise ValueError("letters, digits, dots, dashes and underscores, at most 128")
        return value

    @field_validator("network")
    @classmethod
    def _network(cls, value: str) -> str:
        if not NODE_NAME.fullmatch(value):
            raise ValueError("letters, digits, dots, dashes and underscores, at most 128")
        return value

    @field_validator(
        "storage_limit_file",
        "tokens_directory",
        "peer_tls_directory",
        "broker_url_file",
        "broker_ca_file",
        mode="before",
    )
    @classmethod
    def _unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator(
        "directory",
        "state_directory",
        "storage_limit_file",
        "tokens_directory",
        "peer_tls_directory",
        "broker_url_file",
        "broker_ca_file",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("tokens_directory", "peer_tls_directory")
    @classmethod
    def _outside(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        shared = info.data.get("directory")
        if value is not None and shared is not None and value.resolve().is_relative_to(shared.resolve()):
            raise ValueError("a directory outside of the one that is shared")
        return value

    @property
    def grpc_port_asked(self) -> bool:
        """Whether it must be that port. Others learn the port with the address of REST, so any will do."""
        return "grpc_port" in self.model_fields_set

    @property
    def has_broker(self) -> bool:
        """Whether there is a broker to connect to, be it there or away."""
        return bool(self.broker_url) or self.broker_url_file is not None

    @property
    def state(self) -> Path:
        """Where the state is kept."""
        return self.state_directory or self.own_directory

    @property
    def own_directory(self) -> Path:
        """The hidden folder inside the library: on its file system, so that a rename into it is atomic."""
        return self.directory / ".minga"

    def peer_id(self, port: int) -> str:
        """The name, or one made of the host's and the port REST really has."""
        return (
            self.name
            or f"{re.sub('[^A-Za-z0-9._-]', '-', socket.gethostname()).lstrip('._-')[:100] or 'node'}-{port}"
        )

    @property
    def fixed_host(self) -> str | None:
        """The host that others are told; None where it is to be found."""
        if self.advertise:
            return self.advertise
        return None if ipaddress.ip_address(self.ip).is_unspecified else self.ip


def _rest_url(value: str) -> str:
    """``host``, ``host:port`` or ``http://host[:port]`` as a URL with a port."""
    expected = "an address such as http://peer2.example.com or http://10.0.0.7:5000"
    parts = urlsplit(value if "://" in value else f"http://{value}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(expected)
    return f"{parts.scheme}://{bracketed(parts.hostname)}:{port or DEFAULT_PORT}"
