"""Where ``minga token`` keeps grants: a node's tokens directory, or a network's Secret in Kubernetes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from minga_node.cli.client import ClientError
from minga_node.cli.kube import last_line
from minga_node.token_files import GRANTS_FILE

TRIES = 3
"""How often a change is made anew when somebody else changed the Secret meanwhile."""

Change = Callable[[str], str]
"""From the text of the file of grants to what it is to be."""


class GrantStore(Protocol):
    """One file of grants, wherever it is."""

    def read(self) -> str:
        """The text; empty where there is none yet. Raises ClientError."""

    def change(self, change: Change) -> None:
        """Puts another text in its place, all of it or nothing. Raises ClientError."""


class DirectoryStore:
    """The file in a ``tokens_directory``; one change at a time on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._path = directory, directory / GRANTS_FILE

    def read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ClientError(f"{self._path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ClientError(f"{self._path} is not UTF-8 text") from None

    def change(self, change: Change) -> None:
        try:
            folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ClientError(f"{self._directory} is no directory of tokens: {error.strerror}") from None
        fresh = self._path.with_name(f".{GRANTS_FILE}.new")
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            text = change(self.read())
            fresh.unlink(missing_ok=True)
            # The node may run as another user: who may read the directory's owner's files may read this.
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _like(self._path if self._path.exists() else self._directory, fresh)
            fresh.replace(self._path)
            os.fsync(folder)
        except OSError as error:
            raise ClientError(f"{self._path} cannot be written: {error.strerror}") from None
        finally:
            fresh.unlink(missing_ok=True)
            os.close(folder)


def _like(owner: Path, path: Path) -> None:
    """Gives a file the owner of another, where root writes for a user."""
    state = owner.stat()
    if os.geteuid() == 0:
        os.chown(path, state.st_uid, state.st_gid)


class SecretStore:
    """A key of the Secret with a network's tokens; its version keeps two changes apart.

    Raises:
        ClientError: kubectl is missing or says no, or the network asks for no tokens.
    """

    def __init__(self, network: str, namespace: str | None) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise ClientError("--kube needs kubectl on the PATH")
        self._kubectl, self._where = kubectl, ["--namespace", namespace] if namespace is not None else []
        access = (self._get("p2pnetwork", network).get("spec") or {}).get("access") or {}
        mode = access.get("tokens", "Disabled")
        if mode == "Disabled":
            raise ClientError(
                f"the network {network} asks for no tokens: set spec.access.tokens to Managed first"
            )
        self._name = str(access.get("secretName")) if mode == "Secret" else f"{network}-tokens"

    def read(self) -> str:
        return _text(self._get("secret", self._name))

    def change(self, change: Change) -> None:
        for attempt in range(1, TRIES + 1):
            secret = self._get("secret", self._name)
            text = change(_text(secret))
            patch = {
                # The API server refuses it with a conflict when somebody was quicker.
                "metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]},
                "data": {GRANTS_FILE: b64encode(text.encode()).decode()},
            }
            # By standard input: an argument would show it to everybody on this machine.
            done = self._run(
                "patch", "secret", self._name, "--patch-file", "/dev/stdin", said=json.dumps(patch)
            )
            if done.returncode == 0:
                return
            if "(Conflict)" not in done.stderr or attempt == TRIES:
                raise ClientError(f"kubectl cannot change the Secret {self._name}: {last_line(done.stderr)}")

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        done = self._run("get", kind, name, "--output", "json")
        if done.returncode != 0:
            status = 3 if "(NotFound)" in done.stderr else 1
            raise ClientError(f"kubectl cannot read the {kind} {name}: {last_line(done.stderr)}", status)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _run(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [self._kubectl, *arguments, *self._where]
        return subprocess.run(command, input=said, capture_output=True, text=True, check=False)


def _text(secret: dict[str, Any]) -> str:
    encoded = (secret.get("data") or {}).get(GRANTS_FILE, "")
    return b64decode(encoded).decode(errors="replace")
