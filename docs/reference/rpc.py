"""gRPC, from the comments in the protocol buffers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

from docs.reference.markdown import code, table, whole

PROTOS = Path(__file__).parents[2] / "protos"
Comments = dict[tuple[int, ...], str]
# Numbers of fields in descriptor.proto: a comment's place is a path of such numbers and indices.
MESSAGES, ENUMS, SERVICES, SYNTAX = 4, 5, 6, 12
FIELDS, METHODS, VALUES = 2, 2, 2


def page() -> str:
    """One section a file: its services, then its messages."""
    return whole(
        "gRPC",
        "What nodes ask each other, on `grpc_port` (50051). The files are in `protos/minga_protos/v1`. Nodes"
        " answer the standard health and reflection services as well.",
        *(part for file in _files() for part in _file(file)),
    )


def _files() -> Sequence[FileDescriptorProto]:
    sources = sorted(PROTOS.glob("minga_protos/v1/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        status = protoc.main([
            "protoc",
            f"-I{PROTOS}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            "--include_source_info",
            f"--descriptor_set_out={out}",
            *map(str, sources),
        ])
        if status != 0:
            raise SystemExit(status)
        return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def _comments(file: FileDescriptorProto) -> Comments:
    return {
        tuple(place.path): " ".join(place.leading_comments.split()).replace("<", "&lt;")
        for place in file.source_code_info.location
        if place.leading_comments
    }


def _file(file: FileDescriptorProto) -> Iterator[str]:
    comments = _comments(file)
    yield f"## {Path(file.name).name}"
    yield comments.get((SYNTAX,), "")
    for number, service in enumerate(file.service):
        yield f"### Service {service.name}"
        yield comments.get((SERVICES, number), "")
        yield table(
            ["method", "takes", "answers", "what it does"],
            [
                [
                    code(method.name),
                    _named(method.input_type, stream=method.client_streaming),
                    _named(method.output_type, stream=method.server_streaming),
                    comments.get((SERVICES, number, METHODS, index), ""),
                ]
                for index, method in enumerate(service.method)
            ],
        )
    for number, message in enumerate(file.message_type):
        yield _message(message, comments, (MESSAGES, number))
    for number, enum in enumerate(file.enum_type):
        yield _enum(enum, comments, (ENUMS, number))


def _message(message: DescriptorProto, comments: Comments, place: tuple[int, ...]) -> str:
    fields = [
        [str(field.number), code(field.name), _type(field), comments.get((*place, FIELDS, index), "")]
        for index, field in enumerate(message.field)
    ]
    rows = table(["number", "field", "type", "what it is"], fields) if fields else "It has no fields."
    return "\n\n".join(filter(None, [f"### {message.name}", comments.get(place, ""), rows]))


def _enum(enum: EnumDescriptorProto, comments: Comments, place: tuple[int, ...]) -> str:
    values = [
        [str(value.number), code(value.name), comments.get((*place, VALUES, index), "")]
        for index, value in enumerate(enum.value)
    ]
    rows = table(["number", "value", "what it is"], values)
    return "\n\n".join(filter(None, [f"### {enum.name}", comments.get(place, ""), rows]))


def _named(type_name: str, *, stream: bool = False) -> str:
    name = type_name.rsplit(".", 1)[-1]
    return f"{'stream of ' if stream else ''}[{name}](#{name.lower()})"


def _type(field: FieldDescriptorProto) -> str:
    kind = (
        _named(field.type_name)
        if field.type_name
        else code(FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower())
    )
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {kind}"
    return f"{kind}, optional" if field.proto3_optional else kind
