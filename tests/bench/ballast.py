"""Memory that the machine has in hand when a measurement begins."""

from __future__ import annotations

from pathlib import Path

CHUNK = bytes(4 * 2**20)


class Ballast:
    """A file of ``size`` bytes in a directory that is in memory; :meth:`release` it when the clock starts.

    A virtual machine gives free pages back to its host ("free page reporting"), and getting one again costs
    more than filling it: measured, 2.4 s for the first GiB written and 0.14 s for the next into the same
    pages. What is freed at the start has not been given back yet, so that what is measured afterwards is the
    swarm and not the host, for everybody who is compared.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._path = directory / "ballast"
        with self._path.open("wb") as out:
            for _ in range(-(-size // len(CHUNK))):
                out.write(CHUNK)

    def release(self) -> None:
        """The pages are free, and still the machine's."""
        self._path.unlink(missing_ok=True)
