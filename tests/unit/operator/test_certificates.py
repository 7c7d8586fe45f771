"""The certificates of a network's nodes: what they prove, and when they are renewed."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from cryptography import x509

from minga_node import certificates as node
from minga_operator.certificates import (
    AUTHORITY_LIFE,
    Bundle,
    Pair,
    bundle,
    due,
    new_authority,
    problem,
    shared_name,
    usable_authority,
)
from minga_operator.resources import peer_tls
from tests.support.authority import Authority
from tests.unit.operator.networks import network

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
NAME = "shelf.library.peers.minga"
DAY = datetime.timedelta(days=1)


def authority(now: datetime.datetime = NOW) -> Pair:
    return new_authority("shelf.library", now)


def certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def as_nodes_read_it(found: Bundle) -> node.Certificates:
    files = (found.own.certificate, found.own.key, found.authorities)
    return node.read([text.encode() for text in files], NAME)


def test_nodes_take_what_is_made_and_find_the_same_name() -> None:
    assert shared_name(peer_tls.network_name(network())) == node.shared_name("shelf.library") == NAME
    made = bundle(authority(), None, NAME, NOW)
    assert as_nodes_read_it(made).until == NOW + 90 * DAY
    assert problem(made, NAME) is None


def test_the_certificate_is_of_the_authority_which_signs_nothing_else() -> None:
    of = authority()
    made = bundle(of, None, NAME, NOW)
    (signer,) = certificates(made.authorities)
    (own,) = certificates(made.own.certificate)
    own.verify_directly_issued_by(signer)
    assert made.authorities == of.certificate
    assert signer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signer.not_valid_after_utc == NOW + AUTHORITY_LIFE


def test_what_is_good_stays_to_the_letter() -> None:
    of = authority()
    made = bundle(of, None, NAME, NOW)
    assert bundle(of, made, NAME, NOW + 59 * DAY) == made
    assert usable_authority(of, NOW + 59 * DAY)


def test_it_is_renewed_a_month_before_its_end() -> None:
    of = authority()
    made = bundle(of, None, NAME, NOW)
    renewed = bundle(of, made, NAME, NOW + 60 * DAY)
    assert due(made) <= NOW + 60 * DAY < due(renewed)
    assert renewed.own != made.own
    assert renewed.authorities == made.authorities
    assert as_nodes_read_it(renewed).until == NOW + 150 * DAY


def test_an_authority_is_replaced_a_year_before_its_end_and_trusted_before_it_is_used() -> None:
    old = authority()
    later = NOW + AUTHORITY_LIFE - 364 * DAY
    assert not usable_authority(old, later)
    before = bundle(old, bundle(old, None, NAME, NOW), NAME, later - 10 * DAY)
    new = authority(later)
    first = bundle(new, before, NAME, later)
    assert first.own == before.own
    assert first.authorities == new.certificate + old.certificate
    second = bundle(new, first, NAME, later + 60 * DAY)
    (own,) = certificates(second.own.certificate)
    own.verify_directly_issued_by(certificates(new.certificate)[0])
    # Those that have not read the files again still show the other one.
    assert second.authorities == new.certificate + old.certificate


def test_an_authority_that_has_ended_is_trusted_no_more() -> None:
    old, new = authority(), authority(NOW + AUTHORITY_LIFE)
    made = bundle(old, None, NAME, NOW)
    assert bundle(new, made, NAME, NOW + AUTHORITY_LIFE + DAY).authorities == new.certificate


def test_only_the_last_authority_is_trusted_beside_the_present_one() -> None:
    first, second, third = authority(), authority(), authority()
    made = bundle(second, bundle(first, None, NAME, NOW), NAME, NOW)
    assert bundle(third, made, NAME, NOW).authorities == third.certificate + second.certificate


def spoilt() -> dict[str, Bundle]:
    of = authority()
    made = bundle(of, None, NAME, NOW)
    other = bundle(of, None, NAME, NOW)
    stranger = bundle(authority(), None, NAME, NOW)
    return {
        "nonsense": replace(made, own=Pair("nonsense", "nonsense")),
        "no key": replace(made, own=Pair(made.own.certificate, "")),
        "another key": replace(made, own=Pair(made.own.certificate, other.own.key)),
        "another name": bundle(of, None, "shelf.other.peers.minga", NOW),
        "of an authority nobody trusts": replace(made, own=stranger.own),
        "nothing": Bundle(Pair("", ""), ""),
    }


@pytest.mark.parametrize("case", spoilt())
def test_what_somebody_spoilt_is_made_anew(case: str) -> None:
    of = authority()
    found = spoilt()[case]
    made = bundle(of, replace(found, authorities=of.certificate), NAME, NOW)
    assert made.own != found.own
    assert as_nodes_read_it(made).until == NOW + 90 * DAY
    (own,) = certificates(made.own.certificate)
    own.verify_directly_issued_by(certificates(of.certificate)[0])


@pytest.mark.parametrize("found", [Pair("", ""), Pair("nonsense", "nonsense")])
def test_an_authority_that_is_none_is_not_used(found: Pair) -> None:
    assert not usable_authority(found, NOW)
    of = authority()
    assert not usable_authority(Pair(of.certificate, authority().key), NOW)
    leaf = bundle(of, None, NAME, NOW).own
    assert not usable_authority(leaf, NOW)


def test_what_others_made_is_judged_as_nodes_will() -> None:
    theirs = Authority()

    def secret(*names: str) -> Bundle:
        certificate, key = theirs.issue(*names)
        return Bundle(Pair(certificate.decode(), key.decode()), theirs.certificate.decode())

    assert problem(secret("Shelf.Library.peers.minga", "more.example"), NAME) is None
    good, other = secret(NAME), secret("shelf.other.peers.minga")
    assert problem(other, NAME) == f"its certificate is not for the DNS name {NAME}"
    mixed = replace(good, own=Pair(good.own.certificate, other.own.key))
    assert problem(mixed, NAME) == "its tls.key is not the key of its tls.crt"
    expected = "its keys tls.crt, tls.key and ca.crt are not certificates and a key in PEM"
    assert problem(replace(good, authorities="x"), NAME) == expected


def test_keys_are_not_shown() -> None:
    made = bundle(authority(), None, NAME, NOW)
    assert "PRIVATE" not in repr(made)
