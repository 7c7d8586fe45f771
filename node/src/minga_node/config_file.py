"""Configuration of a node: a JSON file, every key of which ``MINGA_<KEY>`` in the environment overrides."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from minga_node.config import Config
from minga_node.errors import ConfigError

PREFIX = "MINGA_"


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: one line that names the key, its value and what was expected.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: line {error.lineno}: {error.msg}") from error
    if not isinstance(data, dict):
        raise ConfigError(f'{path} must hold a JSON object such as {{"directory": "/srv/files"}}')
    return parse(data, environment)


def parse(data: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Config:
    """Checks a configuration; the environment's values win over the file's."""
    merged = dict(data)
    for key in Config.model_fields:
        value = environment.get(PREFIX + key.upper())
        # Kubernetes sets MINGA_PORT=tcp://… in pods beside a Service called minga.
        if value is not None and not value.startswith("tcp://"):
            merged[key] = value
    if "directory" not in merged:
        raise ConfigError("directory is missing: expected the path of the directory to share")
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_one_line(error, merged)) from None


def _one_line(error: ValidationError, data: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"{key} is not a key of the configuration: expected one of {', '.join(Config.model_fields)}"
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    # A broker's address has a password in it.
    shown = "set" if key == "broker_url" else json.dumps(data.get(key), default=str)
    return f"{key} is {shown}: expected {expected}"
