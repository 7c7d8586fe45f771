"""Tar streams: what we write others read, what others write we read, and nothing else."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from minga_node import tar
from minga_node.errors import BadRequest

LONG = "a-folder-with-a-long-name/" * 12 + "ñandú.txt"
FILES = {"a.txt": b"hello", "empty": b"", "b/block": bytes(512), LONG: b"x" * 70_000}


def contents(archive: bytes) -> dict[str, bytes]:
    """Regular files; the source gives little at a time, as a socket does."""

    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(700, size or 0))

    return {m.name: m.read(m.size) for m in tar.members(Trickle(archive)) if not m.problem}


def ours() -> bytes:
    parts = [
        part
        for name, body in FILES.items()
        for part in (tar.header(name, len(body), 1_700_000_000_000, "f" * 64), body, tar.padding(len(body)))
    ]
    return b"".join([*parts, tar.END])


def test_what_is_written_is_read() -> None:
    assert contents(ours()) == FILES
    assert {member.id for member in tar.members(io.BytesIO(ours()))} == {"f" * 64}


def test_python_and_gnu_tar_read_what_is_written(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(ours())) as archive:
        assert {info.name: archive.extractfile(info).read() for info in archive} == FILES  # type: ignore[union-attr]
    subprocess.run([shutil.which("tar") or "tar", "x"], input=ours(), cwd=tmp_path, check=True)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize("form", ["gnu", "pax", "posix"])
def test_what_gnu_tar_writes_is_read(tmp_path: Path, form: str) -> None:
    for name, body in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(body)
    made = subprocess.run(
        ["tar", "c", f"--format={form}", "."], cwd=tmp_path / "in", capture_output=True, check=True
    )
    assert contents(made.stdout) == FILES


def test_what_is_no_regular_file_is_named_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"good")
    (tmp_path / "hard").hardlink_to(tmp_path / "file")
    (tmp_path / "link").symlink_to("/etc/passwd")
    made = subprocess.run(
        ["tar", "c", "file", "hard", "link"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    found = {member.name: member.problem for member in tar.members(io.BytesIO(made))}
    assert found == {"file": "", "hard": "a hard link", "link": "a symbolic link"}


def test_members_that_are_not_read_are_skipped() -> None:
    assert [member.name for member in tar.members(io.BytesIO(ours()))] == list(FILES)


@pytest.mark.parametrize("length", [100, 512, 1500, 3000])
def test_an_archive_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(BadRequest, match="cut off"):
        contents(ours()[:length])


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(BadRequest, match="no tar archive"):
        contents(b"this is only text. " * 100)


def test_an_extended_header_that_would_fill_the_memory_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    with pytest.raises(BadRequest, match="extended header of 8589934592 bytes"):
        contents(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))


@pytest.mark.parametrize("record", [b"9999 path=x\n", b"path=x\n", b"3 x", b"-5 path=x\n"])
def test_a_damaged_extended_header_is_refused(record: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    with pytest.raises(BadRequest, match="damaged"):
        contents(info.tobuf() + record + bytes(512 - len(record)))
