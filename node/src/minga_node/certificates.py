"""What a node shows its peers, and whom it takes for one: PEM files as a ``kubernetes.io/tls`` Secret has
them. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
FILES = (CERTIFICATE, KEY, AUTHORITIES)


def shared_name(network: str) -> str:
    """The DNS name that every certificate of a network is for.

    Peers come and go at addresses that no certificate could list, so it is not a host's name but the
    network's: whoever has a certificate for it belongs to the network.
    """
    return f"{network}.peers.minga".lower()


def named(names: Iterable[str], wanted: str) -> bool:
    """Whether the DNS names of a certificate have a network's name among them. No wildcards."""
    return any(name.lower() == wanted for name in names)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Three files that belong together."""

    certificate: bytes
    """The node's own, then those between it and the authority, if any."""
    key: bytes = field(repr=False)
    authorities: bytes
    """One or more: while an authority is exchanged, the old one and the new one."""
    until: datetime.datetime
    """When the node's own certificate ends."""


def read(files: Sequence[bytes], name: str) -> Certificates:
    """Checks the contents of :data:`FILES`, in that order.

    An end in the past is not refused: the file may be renewed any moment.

    Raises:
        ValueError: one line that says which file is wrong, and never what is in it.
    """
    certificate, key, authorities = files
    try:
        own = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError:
        raise ValueError(f"{CERTIFICATE} holds no certificate in PEM") from None
    try:
        x509.load_pem_x509_certificates(authorities)
    except ValueError:
        raise ValueError(f"{AUTHORITIES} holds no certificate in PEM") from None
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError):
        raise ValueError(f"{KEY} holds no private key in PEM without a password") from None
    if private.public_key() != own.public_key():
        raise ValueError(f"{KEY} is not the key of {CERTIFICATE}")
    names = _names(own)
    if not named(names, name):
        found = ", ".join(names) or "no DNS name"
        raise ValueError(f"{CERTIFICATE} is for {found}: expected the DNS name {name}")
    if not _for_both_ends(own):
        raise ValueError(f"{CERTIFICATE} lacks a usage: expected server auth and client auth")
    return Certificates(certificate, key, authorities, own.not_valid_after_utc)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _for_both_ends(certificate: x509.Certificate) -> bool:
    """Every node answers and calls (RFC 5280, 4.2.1.12: without the extension it is for everything)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    needed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    return needed <= set(usage) or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
