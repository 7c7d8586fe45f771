"""A node's directories before it starts: checked, and claimed for one process."""

from __future__ import annotations

import fcntl
import os

from minga_node.config import Config
from minga_node.errors import StorageFailed


def prepare(config: Config) -> int:
    """Checks the directories and claims the state for this process; returns the lock's descriptor.

    Raises:
        StorageFailed: one line that says what is wrong.
    """
    if not config.directory.is_dir():
        raise StorageFailed(f"the directory {config.directory} does not exist")
    if not os.access(config.directory, os.R_OK | os.X_OK):
        raise StorageFailed(f"the directory {config.directory} cannot be read")
    try:
        config.state.mkdir(parents=True, exist_ok=True)
        lock = os.open(config.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(
            f"the state directory {config.state} cannot be written ({error.strerror}); set state_directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StorageFailed(f"another node runs with the state directory {config.state}") from None
    return lock
