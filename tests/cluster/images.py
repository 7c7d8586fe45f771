"""The images that the tests run, each keyed by what it is made from, so that only a change costs anything."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import oci
from .build import Binaries, cache_lock
from .layout import REPOSITORY, cache_folder
from .shell import ClusterError, run, run_logged

SUITE = "trixie"
_PACKAGES = "python3,python3-venv,ca-certificates"
_RECIPES = Path(__file__).with_name("images")
_BASE_RECIPE_VERSION = "1"  # raise it when base_image below makes something else of the same packages

# The images of the project: their short name, and the folders whose content decides them.
_PROJECT = {"node": ("node", "protos"), "operator": ("operator", "protos")}
_NOT_SOURCES = {"__pycache__", ".venv", "build", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def pause_image(binaries: Binaries) -> oci.Image:
    """The process that holds a pod's namespaces."""
    name = f"minga-pause:{_hash([_RECIPES / 'pause', binaries.pause])}"
    if image := oci.find(name):
        return image
    with _context(_RECIPES / "pause", binaries.pause) as context:
        return oci.ensure_image(name, Path(context), Path(context) / "Dockerfile")


def base_image() -> tuple[str, oci.Image]:
    """Debian with Python, as a reference to build upon and as an image."""
    recipe = f"{SUITE} {_PACKAGES} {_BASE_RECIPE_VERSION}".encode()
    name = f"minga-base:{hashlib.sha256(recipe).hexdigest()[:12]}"
    image = oci.find(name)
    if image is None:
        with cache_lock("base"):
            system = cache_folder() / "rootfs"
            shutil.rmtree(system, ignore_errors=True)
            _debootstrap(system)
            with _context(_RECIPES / "base") as context:
                run("tar", "-C", system, "-cf", f"{context}/rootfs.tar", ".", timeout=300)
                shutil.rmtree(system)
                image = oci.ensure_image(name, Path(context), Path(context) / "Dockerfile")
    return f"localhost/{name}", image


def rabbitmq_image() -> oci.Image:
    """RabbitMQ, from Debian's package."""
    base, _ = base_image()
    recipe = _RECIPES / "rabbitmq"
    return oci.ensure_image(
        f"minga-rabbitmq:{_hash([recipe], base)}", recipe, recipe / "Dockerfile", {"BASE": base}
    )


def project_image(name: str, repository: Path = REPOSITORY) -> oci.Image:
    """The project's image `node` or `operator`, from the Dockerfile that users build too."""
    dockerfile = repository / name / "Dockerfile"
    if not dockerfile.exists():
        raise ClusterError(f"{dockerfile}: no such file")
    base, _ = base_image()
    key = _hash([repository / folder for folder in _PROJECT[name]], base)
    reference = f"minga-{name}:{key}"
    image = oci.ensure_image(reference, repository, dockerfile, {"BASE": base})
    oci.forget_old(f"minga-{name}:")
    return image


def _debootstrap(system: Path) -> None:
    log = cache_folder() / "logs" / "debootstrap.log"
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(system)]
    run_logged(command, log, timeout=1200, attempts=2)
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(system / folder, ignore_errors=True)
        (system / folder).mkdir()
    # A package that is installed on top must not start its service in the build.
    policy = system / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (system / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def _context(recipe: Path, *files: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder to build in: the recipe and files beside it. In the cache, for /tmp may be small."""
    folder = tempfile.TemporaryDirectory(dir=cache_folder())
    shutil.copytree(recipe, folder.name, dirs_exist_ok=True)
    for file in files:
        shutil.copy2(file, folder.name)
    return folder


def _hash(paths: Iterable[Path], *more: str) -> str:
    """A short digest of files and folders: names, modes and content."""
    digest = hashlib.sha256()
    for word in more:
        digest.update(word.encode() + b"\0")
    for path in paths:
        for file in sorted(_files(path)):
            name = file.relative_to(path.parent)
            digest.update(f"{name}\0{file.stat().st_mode:o}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return [path]
    found = []
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if name not in _NOT_SOURCES and not name.endswith(".egg-info")]
        found += [Path(folder) / file for file in files]
    return found


def send(image_names: dict[str, oci.Image], known: set[str], importer: Sequence[str]) -> None:
    """Stream images, under the names given, to an importing command, without the blobs that it knows.

    Raises ClusterError when the importer fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        staging = Path(folder)
        manifests = [
            {**image.descriptor, "annotations": {"io.containerd.image.name": name}}
            for name, image in image_names.items()
        ]
        (staging / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (staging / "index.json").write_text(oci.index(manifests))
        wanted = sorted({digest for image in image_names.values() for digest in image.blobs} - known)
        # tar refuses a -C that nothing follows: another name for an image that the node has needs no blobs.
        blobs = ["-C", str(oci.layout_folder())] if wanted else []
        blobs += [f"blobs/{digest.replace(':', '/')}" for digest in wanted]
        command = [
            "tar",
            "-c",
            "-C",
            folder,
            "oci-layout",
            "index.json",
            *blobs,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
            done = subprocess.run(
                importer, stdin=archive.stdout, capture_output=True, timeout=300, check=False
            )
    if done.returncode != 0 or archive.returncode != 0:
        raise ClusterError(
            f"importing {', '.join(image_names)}: {done.stderr.decode(errors='replace').strip()}"
        )
