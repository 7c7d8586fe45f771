"""Sample files, so that a new local network has something to find. The same on every machine."""

from __future__ import annotations

import random
from pathlib import Path

MIB = 2**20

SAMPLES: dict[str, list[tuple[str, int | str]]] = {
    "seed-0": [
        ("big.bin", 128 * MIB),
        ("models/llama-sample.gguf", 24 * MIB),
        ("docs/welcome.md", "# Welcome to Minga\n\nPut a file here and everybody finds it.\n"),
    ],
    "peer-0": [("notes/shopping.txt", "yerba mate, maize, beans\n")],
    "peer-1": [
        ("music/huayno.ogg", 3 * MIB),
        ("docs/Información.txt", "Todo el pueblo llega y el trabajo lo hacen todos.\n"),
    ],
    "peer-2": [("datasets/weather-2025.csv", 6 * MIB)],
}


def make(node: str, directory: Path) -> None:
    """Writes the samples of one node, where the directory is still empty."""
    if any(not item.name.startswith(".") for item in directory.iterdir()):
        return
    for name, content in SAMPLES.get(node, []):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, encoding="utf-8")
        else:
            source = random.Random(name)
            with target.open("wb") as out:
                for _ in range(content // MIB):
                    out.write(source.randbytes(MIB))
