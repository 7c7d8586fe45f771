"""The certificates by which the nodes of a network know each other. Pure, but for the keys, which are drawn.

One authority a network, and one certificate that all its nodes show: what it proves is that a node belongs to
the network. Both are values of Secrets, in PEM.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from secrets import token_hex

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = datetime.timedelta(days=3650)
AUTHORITY_RENEWAL = datetime.timedelta(days=3285)
"""After its beginning: a year before its end."""
LIFE = datetime.timedelta(days=90)
RENEWAL = datetime.timedelta(days=60)
_SKEW = datetime.timedelta(hours=1)
"""How far behind a node's clock may be."""
_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Bundle:
    """What the nodes mount."""

    own: Pair
    authorities: str
    """The authority, then the one before it while that is good: nodes do not renew at the same moment."""


def shared_name(network: str) -> str:
    """The DNS name that nodes expect of each other; ``network`` as their configuration has it."""
    return f"{network}.peers.minga".lower()


def new_authority(name: str, now: datetime.datetime) -> Pair:
    """An authority for one network alone. Its subject is never that of an earlier one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"authority {token_hex(4)} of {name}")
    certificate = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def usable_authority(found: Pair, now: datetime.datetime) -> bool:
    """Whether it can sign, and is far from its end."""
    try:
        certificate, key = _load(found)
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
    return fits and basic.ca and now < certificate.not_valid_before_utc + AUTHORITY_RENEWAL


def bundle(authority: Pair, found: Bundle | None, name: str, now: datetime.datetime) -> Bundle:
    """What the nodes should mount: what they do, until it is time for another.

    After a change of the authority the nodes learn to trust the new one first, and show a certificate of it
    when theirs is renewed: so none is refused by those that have not read the files again.
    """
    current = x509.load_pem_x509_certificate(authority.certificate.encode())
    trusted = [current, *_before(current, found, now)]
    authorities = "".join(_pem(one) for one in trusted)
    if found is not None and _good(found.own, trusted, name, now):
        return Bundle(found.own, authorities)
    return Bundle(_issue(authority, name, now), authorities)


def due(found: Bundle) -> datetime.datetime:
    """When its certificate is to be renewed."""
    return x509.load_pem_x509_certificate(found.own.certificate.encode()).not_valid_before_utc + RENEWAL


def problem(found: Bundle, name: str) -> str | None:
    """Why nodes would not take what somebody else made, in words; None if they would."""
    try:
        certificate, key = _load(found.own)
        x509.load_pem_x509_certificates(found.authorities.encode())
    except ValueError:
        return "its keys tls.crt, tls.key and ca.crt are not certificates and a key in PEM"
    if key.public_key() != certificate.public_key():
        return "its tls.key is not the key of its tls.crt"
    if name not in _names(certificate):
        return f"its certificate is not for the DNS name {name}"
    return None


def _before(
    current: x509.Certificate, found: Bundle | None, now: datetime.datetime
) -> list[x509.Certificate]:
    try:
        known = x509.load_pem_x509_certificates(found.authorities.encode()) if found else []
    except ValueError:
        return []
    return [one for one in known if one != current and now < one.not_valid_after_utc][:1]


def _good(own: Pair, trusted: list[x509.Certificate], name: str, now: datetime.datetime) -> bool:
    try:
        certificate, key = _load(own)
    except ValueError:
        return False
    return (
        key.public_key() == certificate.public_key()
        and name in _names(certificate)
        and now < certificate.not_valid_before_utc + RENEWAL
        and any(_signed(certificate, by) for by in trusted)
    )


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _issue(authority: Pair, name: str, now: datetime.datetime) -> Pair:
    signer, signing_key = _load(authority)
    assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(signing_key.public_key())
    certificate = (
        _builder(_subject("a node"), signer.subject, key.public_key(), now, LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USAGES), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(signing_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(text: str) -> x509.Name:
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Minga"),
        x509.NameAttribute(NameOID.COMMON_NAME, text[:64]),
    ])


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]


def _load(found: Pair) -> tuple[x509.Certificate, PrivateKeyTypes]:
    """Raises ValueError where either is not what it should be."""
    try:
        key = serialization.load_pem_private_key(found.key.encode(), None)
    except TypeError as error:
        raise ValueError("the key has a password") from error
    return x509.load_pem_x509_certificate(found.certificate.encode()), key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(_pem(certificate), text.decode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
