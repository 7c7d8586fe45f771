"""What a route says of itself, for the OpenAPI document: kept at the route, so that the two cannot drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One query parameter."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Operation:
    summary: str
    answers: Mapping[int, type[BaseModel] | str]
    """Status → the model of its JSON, or a sentence where it is something else."""
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | str | None = None
    """The model of the JSON taken, or the media type."""


def documented(operation: Operation, method: str = "GET") -> Callable[[View], View]:
    """Attaches the description of one method to a view."""

    def attach(view: View) -> View:
        operations: dict[str, Operation] = getattr(view, "operations", {})
        view.operations = {**operations, method: operation}  # type: ignore[attr-defined]
        return view

    return attach
