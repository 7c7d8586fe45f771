"""The certificates of one cluster, made by openssl, and the kubeconfig files that carry them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from .shell import run

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]


@dataclass(frozen=True)
class Authority:
    """The cluster's certificate authority, in a folder that only the owner reads."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def service_accounts(self) -> Path:
        """The key that signs the tokens of service accounts; its public half ends in .pub."""
        return self.folder / "service-accounts.key"

    def make(self) -> None:
        self.folder.mkdir(parents=True, mode=0o700)
        # Python 3.13 and newer refuse an authority that does not say that it signs certificates.
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        run("openssl", "req", "-x509", *_EC, "-subj", "/CN=minga test cluster", *usage, *self._out("ca"))
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run("openssl", "genpkey", *curve, "-out", self.service_accounts)
        public = self.service_accounts.with_suffix(".pub")
        run("openssl", "pkey", "-in", self.service_accounts, "-pubout", "-out", public)

    def issue(self, name: str, subject: str, alternative_names: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Make NAME.crt and NAME.key for `subject` ("/O=group/CN=user") and return their paths."""
        extensions = ["-addext", "basicConstraints=critical,CA:FALSE"]
        extensions += ["-addext", "extendedKeyUsage=clientAuth,serverAuth"]
        if alternative_names:
            extensions += ["-addext", f"subjectAltName={','.join(alternative_names)}"]
        signer = ["-CA", str(self.certificate), "-CAkey", str(self.key)]
        run("openssl", "req", "-x509", *_EC, *signer, "-subj", subject, *extensions, *self._out(name))
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def write_kubeconfig(self, path: Path, server: str, name: str, subject: str) -> None:
        """Issue a client certificate and write it with all it needs as a kubeconfig file (JSON is YAML)."""
        certificate, key = self.issue(name, subject)
        cluster = {"server": server, "certificate-authority-data": _base64(self.certificate)}
        user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "minga", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "minga", "context": {"cluster": "minga", "user": name}}],
            "current-context": "minga",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=1) + "\n")

    def _out(self, name: str) -> list[str]:
        return ["-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt")]


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
