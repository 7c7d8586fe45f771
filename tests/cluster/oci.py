"""Container images without Docker: built by buildah into a store of our own, kept in one OCI layout.

A layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) is a folder of blobs named
by digest, so layers that images share are there once, and a node is sent only the blobs it lacks.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .build import cache_lock
from .layout import cache_folder
from .shell import ClusterError, run, run_logged

_KEPT = 4
_REFERENCE = "org.opencontainers.image.ref.name"

# What lets pip in a build reach a package index as this machine does; mounted, so no image has it.
_TRUST = ["/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pip.conf"]


@dataclass(frozen=True)
class Image:
    """One built image: the descriptor of its manifest, and all blobs that it consists of, by digest."""

    descriptor: dict[str, Any]
    blobs: tuple[str, ...]

    @property
    def digest(self) -> str:
        return str(self.descriptor["digest"])


def layout_folder() -> Path:
    return cache_folder() / "oci"


def blob(digest: str) -> Path:
    """The file of a blob in the layout."""
    algorithm, value = digest.split(":")
    return layout_folder() / "blobs" / algorithm / value


def find(reference: str) -> Image | None:
    """The image of that name in the layout."""
    for descriptor in _table():
        if descriptor["annotations"][_REFERENCE] == reference:
            manifest = json.loads(blob(descriptor["digest"]).read_text())
            parts = [manifest["config"], *manifest["layers"]]
            return Image(descriptor, (descriptor["digest"], *(part["digest"] for part in parts)))
    return None


def index(manifests: list[dict[str, Any]]) -> str:
    """The index.json of a layout."""
    kind = "application/vnd.oci.image.index.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": manifests})


def ensure_image(
    reference: str,
    context: Path,
    dockerfile: Path,
    arguments: dict[str, str] | None = None,
    *,
    timeout: float = 1800,
) -> Image:
    """Return the image of that name, built if the layout doesn't have it.

    `reference` names the content (it ends in a hash of the sources), so one that exists is up to date.
    """
    found = find(reference)
    if found is not None:
        return found
    with cache_lock("images"):
        found = find(reference)
        if found is None:
            _build(reference, context, dockerfile, arguments or {}, timeout)
            found = find(reference)
    assert found is not None, f"{reference} is not in the layout it was pushed to"
    return found


def exists(reference: str) -> bool:
    """Whether the build store has it, to build upon."""
    return f"localhost/{reference}" in run(*_buildah("images", "--format", "{{.Name}}:{{.Tag}}")).split()


def _build(
    reference: str, context: Path, dockerfile: Path, arguments: dict[str, str], timeout: float
) -> None:
    log = cache_folder() / "logs" / f"image-{reference.replace('/', '_').replace(':', '-')}.log"
    words = ["bud", "--layers", "--pull-never", "--format", "oci", "--isolation", "chroot"]
    words += ["--signature-policy", str(_policy()), "--tag", reference]
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    for path in _TRUST:
        if Path(path).exists():
            words += ["--volume", f"{path}:{path}:ro"]
    words += ["--file", str(dockerfile), str(context)]
    run_logged(_buildah(*words), log, timeout=timeout, attempts=2)
    # To a plain folder, because what buildah writes to a layout it compresses, all layers each time.
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        push = ["push", "--disable-compression", "--signature-policy", str(_policy())]
        push += [f"localhost/{reference}", f"dir:{folder}"]
        run_logged(_buildah(*push), log.with_suffix(".push.log"), timeout=600)
        _take_in(reference, Path(folder))


def _take_in(reference: str, folder: Path) -> None:
    """Move an image from the folder that buildah wrote, blobs by digest and manifest.json, to the layout."""
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob(digest).parent.mkdir(parents=True, exist_ok=True)
    for part in (manifest["config"], *manifest["layers"]):
        (folder / part["digest"].removeprefix("sha256:")).replace(blob(part["digest"]))
    blob(digest).write_bytes(content)
    descriptor = {"mediaType": manifest["mediaType"], "digest": digest, "size": len(content)}
    _write_table([*_table(), {**descriptor, "annotations": {_REFERENCE: reference}}])


def forget_old(prefix: str) -> None:
    """Drop all images whose name begins with `prefix` but the newest few, and blobs that no image needs.

    A few stay because other work trees on this machine may be about to use theirs.
    """
    with cache_lock("images"):
        named = {descriptor["annotations"][_REFERENCE]: descriptor for descriptor in _table()}
        old = [name for name in named if name.startswith(prefix)][:-_KEPT]
        if not old:
            return
        images = [find(name) for name in named if name not in old]
        needed = {digest for image in images if image for digest in image.blobs}
        _write_table([descriptor for name, descriptor in named.items() if name not in old])
        for file in (layout_folder() / "blobs" / "sha256").iterdir():
            if f"sha256:{file.name}" not in needed:
                file.unlink()
        for name in old:
            if exists(name):
                # Refused while another work tree builds from it: then it stays.
                with suppress(ClusterError):
                    run(*_buildah("rmi", f"localhost/{name}"), timeout=120)


def _table() -> list[dict[str, Any]]:
    try:
        manifests: list[dict[str, Any]] = json.loads((layout_folder() / "index.json").read_text())[
            "manifests"
        ]
    except FileNotFoundError:
        return []
    return manifests


def _write_table(manifests: list[dict[str, Any]]) -> None:
    partial = layout_folder() / "index.json.partial"
    partial.write_text(index(manifests))
    partial.replace(layout_folder() / "index.json")


def _buildah(*words: str) -> list[str]:
    store = cache_folder() / "containers"
    own = ["--root", str(store), "--runroot", str(store / "run"), "--storage-driver", "overlay"]
    return [shutil.which("buildah") or "buildah", *own, *words]


def _policy() -> Path:
    """Images come from this machine only, so none is signed."""
    path = cache_folder() / "policy.json"
    if not path.exists():
        path.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return path
