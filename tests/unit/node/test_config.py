from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minga_node.config import Config
from minga_node.config_file import load, parse
from minga_node.errors import ConfigError

FOUR_KEYS: dict[str, Any] = {
    "ip": "0.0.0.0",
    "port": 5000,
    "directory": "/srv/files",
    "seed_peer": "http://peer2.example.com",
}


def test_the_four_keys_are_enough() -> None:
    config = parse(FOUR_KEYS, {})
    assert (config.ip, config.port, config.grpc_port) == ("0.0.0.0", 5000, 50051)
    assert config.seed_peer == ("http://peer2.example.com:5000",)
    assert config.state == Path("/srv/files/.minga")


@pytest.mark.parametrize("missing", [{}, {"seed_peer": ""}, {"seed_peer": []}])
def test_no_seed_makes_the_first_node(missing: dict[str, Any]) -> None:
    assert parse({"directory": "/srv", **missing}, {}).seed_peer == ()


def test_seeds_may_be_a_list() -> None:
    config = parse({"directory": "/srv", "seed_peer": ["http://a:1", "b"]}, {})
    assert config.seed_peer == ("http://a:1", "http://b:5000")


def test_the_environment_wins() -> None:
    config = parse(FOUR_KEYS, {"MINGA_GRPC_PORT": "6000", "MINGA_PORT": "7000", "MINGA_SEED_PEER": "x,y"})
    assert (config.grpc_port, config.port) == (6000, 7000)
    assert config.seed_peer == ("http://x:5000", "http://y:5000")


def test_a_services_variable_of_kubernetes_is_no_port() -> None:
    assert parse(FOUR_KEYS, {"MINGA_PORT": "tcp://10.96.0.7:80"}).port == 5000


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("port", "abc", 'port is "abc": expected a valid integer'),
        ("port", 70000, "port is 70000: expected less than or equal to 65535"),
        ("port", -1, "port is -1: expected greater than or equal to 0"),
        ("ip", "localhost!", 'ip is "localhost!": expected an IP address'),
        ("directory", 7, "directory is 7: expected"),
        ("seed_peer", 5, "seed_peer is 5: expected"),
        ("seed_peer", "ftp://x", 'seed_peer is "ftp://x": expected an address such as'),
        ("seed_peer", "http://x:port", "expected an address such as"),
        ("log_format", "xml", "log_format is \"xml\": expected 'human' or 'json'"),
        ("name", "no spaces", 'name is "no spaces": expected letters'),
        ("colour", 1, "colour is not a key of the configuration"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**FOUR_KEYS, key: value}, {})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_brokers_password_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**FOUR_KEYS, "broker_url": "http://user:hunter2@host"}, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{'ip': 1}"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "peer_config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        load(path, {})


def test_a_missing_directory_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "peer_config.json"
    path.write_text(json.dumps({"port": 1}))
    with pytest.raises(ConfigError, match="directory is missing"):
        load(path, {})


def test_a_concrete_address_is_advertised() -> None:
    assert parse({"directory": "/srv", "ip": "127.0.0.1"}, {}).fixed_host == "127.0.0.1"
    assert (
        parse({"directory": "/srv", "ip": "127.0.0.1", "advertise": "a.example"}, {}).fixed_host
        == "a.example"
    )


def test_of_a_wildcard_the_host_is_left_to_be_found() -> None:
    assert parse({"directory": "/srv", "seed_peer": "http://peer2.example.com"}, {}).fixed_host is None


def test_every_key_says_what_it_is_for() -> None:
    assert [key for key, field in Config.model_fields.items() if not field.description] == []


def test_tokens_are_kept_outside_of_what_is_shared(tmp_path: Path) -> None:
    shared, outside = tmp_path / "files", tmp_path / "tokens"
    shared.mkdir()
    (tmp_path / "link").symlink_to(shared)
    config = parse({"directory": str(shared), "tokens_directory": str(outside)}, {})
    assert config.tokens_directory == outside
    assert parse({"directory": str(shared), "tokens_directory": ""}, {}).tokens_directory is None
    for inside in (shared, shared / "tokens", tmp_path / "link" / "tokens"):
        with pytest.raises(ConfigError, match=r"tokens_directory is .*: expected a directory outside"):
            parse({"directory": str(shared), "tokens_directory": str(inside)}, {})
