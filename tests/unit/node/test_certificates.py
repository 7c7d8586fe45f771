"""What is taken for a node's certificate, and what is not; renewed files."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from minga_node import certificates, peer_tls
from minga_node.errors import ConfigError
from minga_node.metrics import CERTIFICATE_END
from minga_node.peer_tls import PeerTls
from tests.support.authority import Authority

NAME = "lab.peers.minga"
AUTHORITY = Authority()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_tls, "LOOK_SECONDS", 0.0)


def test_all_certificates_of_a_network_share_a_name() -> None:
    assert certificates.shared_name("Prod.Library") == "prod.library.peers.minga"


def test_a_certificate_may_have_other_names_too() -> None:
    certificate, key = AUTHORITY.issue("host.example", "LAB.peers.minga")
    found = certificates.read((certificate, key, AUTHORITY.certificate), NAME)
    assert found.certificate == certificate


def test_without_usages_it_is_for_everything() -> None:
    certificate, key = AUTHORITY.issue(NAME, usages=())
    found = certificates.read((certificate, key, AUTHORITY.certificate), NAME)
    assert found.certificate == certificate


def wrong() -> dict[str, tuple[tuple[bytes, bytes, bytes], str]]:
    certificate, key = AUTHORITY.issue(NAME)
    other, _ = AUTHORITY.issue("elsewhere.peers.minga")
    unnamed, unnamed_key = AUTHORITY.issue()
    elsewhere, elsewhere_key = AUTHORITY.issue("elsewhere.peers.minga", "b.example")
    server, server_key = AUTHORITY.issue(NAME, usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    ca = AUTHORITY.certificate
    return {
        "no certificate": ((b"", key, ca), "tls.crt holds no certificate in PEM"),
        "no authority": ((certificate, key, b"nonsense"), "ca.crt holds no certificate in PEM"),
        "no key": ((certificate, certificate, ca), "tls.key holds no private key in PEM without a password"),
        "another key": ((other, key, ca), "tls.key is not the key of tls.crt"),
        "no name": ((unnamed, unnamed_key, ca), f"tls.crt is for no DNS name: expected the DNS name {NAME}"),
        "another name": (
            (elsewhere, elsewhere_key, ca),
            f"tls.crt is for elsewhere.peers.minga, b.example: expected the DNS name {NAME}",
        ),
        "one end": ((server, server_key, ca), "tls.crt lacks a usage: expected server auth and client auth"),
    }


WRONG = wrong()


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_line(case: str) -> None:
    files, said = WRONG[case]
    with pytest.raises(ValueError) as caught:
        certificates.read(files, NAME)
    assert str(caught.value) == said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    AUTHORITY.directory(tmp_path, NAME)
    (tmp_path / "tls.key").unlink()
    with pytest.raises(ConfigError, match=r"peer_tls_directory: cannot read .*/tls.key: No such file"):
        PeerTls(tmp_path, "lab")


def test_a_renewed_certificate_is_taken(tmp_path: Path) -> None:
    tls = PeerTls(AUTHORITY.directory(tmp_path, NAME, days=1), "lab")
    version, before = tls.current()
    contexts = tls.server(), tls.client()
    AUTHORITY.directory(tmp_path, NAME, days=9)
    renewed, after = tls.current()
    assert renewed == version + 1
    assert after.until > before.until
    assert (tls.server(), tls.client()) != contexts
    assert CERTIFICATE_END._value.get() == after.until.timestamp()


def test_what_is_not_renewed_is_not_read_again(tmp_path: Path) -> None:
    tls = PeerTls(AUTHORITY.directory(tmp_path, NAME), "lab")
    assert tls.current() == tls.current()
    assert tls.server() is tls.server()


def test_a_change_that_is_no_use_is_logged_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = PeerTls(AUTHORITY.directory(tmp_path, NAME), "lab")
    before = tls.current()
    caplog.set_level(logging.ERROR)
    AUTHORITY.directory(tmp_path, "elsewhere.peers.minga")
    assert [tls.current(), tls.current()] == [before, before]
    (record,) = caplog.records
    assert "expected the DNS name lab.peers.minga; the certificate known before stays" in record.getMessage()


def test_a_certificate_that_has_ended_is_said_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PeerTls(AUTHORITY.directory(tmp_path, NAME, days=-1), "lab")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "peers refuse this node" in record.getMessage()


def test_keys_are_not_shown(tmp_path: Path) -> None:
    _, found = PeerTls(AUTHORITY.directory(tmp_path, NAME), "lab").current()
    assert "PRIVATE" not in repr(found)
