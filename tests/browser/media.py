"""Small real pictures and sounds for previews."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib


def png(width: int, height: int) -> bytes:
    """A woven pattern (PNG, ISO/IEC 15948)."""
    dyes = ((194, 80, 46), (15, 123, 108), (217, 151, 43), (63, 81, 163), (142, 59, 116))

    def pixel(x: int, y: int) -> bytes:
        across = (x // 16 + y // 16) % 2 == 0
        red, green, blue = dyes[(y // 16 if across else x // 16) % len(dyes)]
        light = 0.75 + 0.25 * math.sin(math.pi * ((y if across else x) % 16) / 15)
        return bytes((int(red * light), int(green * light), int(blue * light)))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def wav(seconds: float) -> bytes:
    """A tone of 440 Hz, mono, 16 bit, 22050 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(22050)
        sound.writeframes(
            b"".join(
                struct.pack("<h", int(9000 * math.sin(2 * math.pi * 440 * n / 22050)))
                for n in range(int(22050 * seconds))
            )
        )
    return out.getvalue()
