"""Addresses of brokers: what is one, and those in a file that changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from minga_node.errors import ConfigError
from minga_node.mom.addresses import BrokerAddresses


def test_a_file_has_one_address_a_line_and_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "uri"
    file.write_text("amqp://u:secret@one:5672/\n\n  amqps://u:secret@two/team \n")
    addresses = BrokerAddresses(file=file)
    assert [str(address) for address in addresses.read()] == ["amqp://one:5672", "amqps://two:5671"]
    assert not addresses.changed()
    file.write_text("amqp://u:secret@three/,amqp://u:secret@four/")
    assert addresses.changed()
    assert [str(address) for address in addresses.read()] == ["amqp://three:5672", "amqp://four:5672"]
    assert not addresses.changed()


def test_only_another_place_is_a_reason_to_leave(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "uri"
    file.write_text("amqp://u:old@one/team")
    addresses = BrokerAddresses(file=file)
    (current,) = addresses.read()
    for content in ("amqp://u:new@one/team", "amqp://other:new@one:5672/team", "nonsense", "", "\xff"):
        file.write_text(content, encoding="latin-1")
        assert not addresses.moved(current), content
        assert addresses.changed(), "the next connection takes it"
    file.unlink()
    for _ in range(3):
        assert not addresses.moved(current)
    assert caplog.text.count("cannot be read; the connection stays") == 1
    for content in ("amqp://u:old@two/team", "amqp://u:old@one/", "amqps://u:old@one/team"):
        file.write_text(content)
        assert addresses.moved(current), content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nonsense",
        "http://secret/",
        "amqp://",
        "amqp://u:secret@h:99999/",
        "amqp://u:secret@h/?heartbeat=x",
    ],
)
def test_what_is_no_address_is_named_without_its_password(tmp_path: Path, content: str) -> None:
    file = tmp_path / "uri"
    file.write_text(content)
    with pytest.raises(ConfigError) as error:
        BrokerAddresses(file=file).read()
    assert str(file) in str(error.value)
    assert "secret" not in str(error.value)
    if content:
        with pytest.raises(ConfigError, match="broker_url is set: expected an AMQP address"):
            BrokerAddresses([content])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    addresses = BrokerAddresses(file=tmp_path / "uri")
    with pytest.raises(ConfigError, match="uri cannot be read"):
        addresses.read()
    assert not addresses.changed()
    (tmp_path / "uri").write_text("amqp://h/")
    assert addresses.changed()
