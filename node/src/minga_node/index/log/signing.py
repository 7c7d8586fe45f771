"""What a node signs of its log: a hash of the set of its live entries, with the version that it is of. Pure.

The hash is the sum, modulo 2**2048, of a 2048-bit BLAKE3 of each entry (Bellare and Micciancio, "A New
Paradigm for Collision-free Hashing", 1997: AdHash; Clarke et al., "Incremental Multiset Hash Functions",
2003: MSet-Add-Hash). So whoever has a log keeps it up as entries come and go, in any order and without
looking at the others, and it does not matter which tombstones a node still has. Another set with the same sum
is found by the generalised birthday attack (Wagner, 2002) in about 2**90 steps, and it has 2**45 entries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

WIDTH = 256
"""Bytes of a set's hash."""
MASK = (1 << (8 * WIDTH)) - 1
"""The largest hash, as a whole number."""
KEY = 32
"""Bytes of a public key, and of a secret one."""
SIGNED = KEY + 64
"""Bytes of a signature that has its key before it."""

_LOG = b"minga log 1"
_HEAD = struct.Struct("<QQq?I32s").pack
"""Version, size, modified, complete, the length of the name, the content. Name and media type follow."""


def set_hash(rows: Iterable[Sequence[Any]]) -> int:
    """The sum over entries, each an :class:`.Entry`. Tombstones count for nothing."""
    # A catch-up has a million of them: below a microsecond each.
    total, number, head = 0, int.from_bytes, _HEAD
    for version, name, content, size, media_type, modified, complete in rows:
        if content is not None:
            encoded = name.encode()
            fixed = head(version, size, modified, complete, len(encoded), content)
            total += number(blake3(fixed + encoded + media_type.encode()).digest(WIDTH), "little")
    return total & MASK


def to_bytes(total: int) -> bytes:
    return total.to_bytes(WIDTH, "little")


def from_bytes(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little")


def log_statement(network: str, peer_id: str, epoch: int, version: int, total: int) -> bytes:
    """What the writer of a log signs: with ``version`` the set of its live entries has this hash."""
    return statement(_LOG, network, peer_id, epoch, version, to_bytes(total))


def statement(domain: bytes, *parts: str | int | bytes) -> bytes:
    """Parts with their lengths before them, so that no two lists of parts are the same bytes."""
    encoded = [domain]
    for part in parts:
        if isinstance(part, int):
            encoded.append(b"%d" % part)
        else:
            encoded.append(part.encode() if isinstance(part, str) else part)
    return b"".join(len(part).to_bytes(4, "little") + part for part in encoded)


class Signer:
    """A node's key pair (Ed25519, RFC 8032).

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.key = self._key.public_key().public_bytes_raw()
        """The public one."""

    @staticmethod
    def make_secret() -> bytes:
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def sign(self, said: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(said)


def verified(key: bytes, signature: bytes, said: bytes) -> bool:
    """Whether the owner of a public key signed this."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, said)
    except (InvalidSignature, ValueError):
        return False
    return True
