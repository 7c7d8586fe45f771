"""Identity of contents: frozen figures, so that a change of the rule is seen at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from minga_node.errors import VerificationFailed
from minga_node.manifest import HEADER, MAGIC, HashingCancelled, Manifest, hash_file, piece_size

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 64 * KIB),
        (1, 64 * KIB),
        (64 * KIB * 2047, 64 * KIB),
        (64 * KIB * 2047 + 1, 128 * KIB),
        (128 * MIB, 128 * KIB),
        (GIB, MIB),
        (32 * GIB, 32 * MIB),
        (TIB, 32 * MIB),
    ],
)
def test_the_piece_size_is_a_frozen_function_of_the_size(size: int, expected: int) -> None:
    assert piece_size(size) == expected


def test_the_id_of_a_content_never_changes() -> None:
    assert Manifest.of_one_piece(b"minga\n").id == (
        "a9eca79e086d8e9a5ec7e4554617617d3c96d4f1d38be85cccdc20c6935cacf0"
    )
    assert Manifest.of_one_piece(b"").id == "bde291237708e2c4afb36124a1618158c347770131d6e269884983ef41939ec6"


def test_a_manifest_is_its_header_and_the_digests_of_its_pieces(tmp_path: Path) -> None:
    content = bytes(range(256)) * 600
    path = tmp_path / "file"
    path.write_bytes(content)
    manifest = hash_file(path)
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    assert manifest.encode() == HEADER.pack(MAGIC, len(content), 65536) + b"".join(
        blake3(piece).digest() for piece in pieces
    )
    assert manifest.id == blake3(manifest.encode()).hexdigest()


def test_a_big_file_hashed_on_several_threads_has_the_same_manifest(tmp_path: Path) -> None:
    size = 65 * MIB + 3
    path = tmp_path / "big"
    with path.open("wb") as out:
        for number in range(65):
            out.write(bytes([number]) * MIB)
        out.write(b"end")
    manifest = hash_file(path)
    piece = piece_size(size)
    content = path.read_bytes()
    expected = b"".join(blake3(content[start : start + piece]).digest() for start in range(0, size, piece))
    assert manifest.digests == expected


def test_decoding_gives_back_what_was_encoded() -> None:
    manifest = Manifest(65537, bytes(64))
    assert Manifest.decode(manifest.encode(), manifest.id) == manifest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        HEADER.pack(b"OTHER\x00\x00\x01", 0, 65536),
        HEADER.pack(MAGIC, 1, 65536),
        HEADER.pack(MAGIC, 1, 131072) + bytes(32),
        HEADER.pack(MAGIC, 2**63, 65536) + bytes(32),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        Manifest.decode(data)


def test_a_manifest_of_another_id_is_refused() -> None:
    manifest = Manifest.of_one_piece(b"a")
    with pytest.raises(VerificationFailed, match="not the manifest of"):
        Manifest.decode(manifest.encode(), Manifest.of_one_piece(b"b").id)


def test_hashing_stops_when_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * MIB)
    with pytest.raises(HashingCancelled):
        hash_file(path, cancelled=lambda: True)
