"""A certificate authority for tests, and the directories that nodes read their certificates from."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority:
    """Signs certificates, good or not."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        public = self._key.public_key()
        self._builder = x509.CertificateBuilder().issuer_name(self._name)
        certificate = (
            self
            ._dated(self._builder.subject_name(self._name), 10.0)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *names: str,
        days: float = 1.0,
        usages: tuple[x509.ObjectIdentifier, ...] = BOTH_ENDS,
    ) -> tuple[bytes, bytes]:
        """A certificate for DNS names, and its key. It begins two days ago and ends in ``days``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node")])
        builder = self._dated(self._builder.subject_name(subject), days).public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def directory(self, path: Path, *names: str, authorities: bytes | None = None, days: float = 1.0) -> Path:
        """Writes the three files of a node, each of them at once."""
        certificate, key = self.issue(*names, days=days)
        path.mkdir(parents=True, exist_ok=True)
        files = {"tls.crt": certificate, "tls.key": key, "ca.crt": authorities or self.certificate}
        for name, content in files.items():
            (path / f".{name}").write_bytes(content)
            (path / f".{name}").replace(path / name)
        return path

    @staticmethod
    def _dated(builder: x509.CertificateBuilder, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        begin, end = now - datetime.timedelta(days=2), now + datetime.timedelta(days=days)
        return builder.not_valid_before(begin).not_valid_after(end).serial_number(x509.random_serial_number())
