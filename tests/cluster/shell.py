"""Running other programs: bounded in time, silent while all is well, the end of their output when not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_LAST_LINES = 20


class ClusterError(Exception):
    """The test cluster, or a program it needs, failed; the text says what and where its log is."""


class Ended(ClusterError):
    """A process that should run has ended: no use in waiting for what it does."""


def run(
    *argv: str | Path,
    stdin: str | None = None,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed.

    Raises ClusterError when it is missing, exits with another status than 0 or takes over `timeout` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{_shown(words)}: no end after {timeout:g} s") from None
    except FileNotFoundError:
        raise ClusterError(f"{words[0]}: no such program") from None
    if done.returncode != 0:
        raise ClusterError(
            f"{_shown(words)}: exit status {done.returncode}\n{_tail(done.stderr or done.stdout)}"
        )
    return done.stdout


def run_logged(
    argv: Sequence[str | Path],
    log: Path,
    *,
    timeout: float,
    attempts: int = 1,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a long program with its output in `log`, up to `attempts` times, for registries hiccup."""
    words = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, attempts + 1):
        with log.open("wb") as output:
            # A session of its own, so that a program that hangs is ended with its children.
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if status == 0:
            return
        outcome = f"no end after {timeout:g} s" if status is None else f"exit status {status}"
        if attempt == attempts:
            raise ClusterError(f"{_shown(words)}: {outcome}; the end of {log}:\n{tail(log)}")
        time.sleep(2)


def wait_for(what: str, condition: Callable[[], T | None], seconds: float, interval: float = 0.2) -> T:
    """Return the first true value of `condition`, asked every `interval` seconds.

    A ClusterError from the condition, but for Ended, counts as "not yet"; the last is told when time is up.
    """
    deadline = time.monotonic() + seconds
    reason = ""
    while True:
        try:
            value = condition()
        except Ended:
            raise
        except ClusterError as error:
            value, reason = None, f": {error}"
        if value:
            return value
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:g} s{reason}")
        time.sleep(interval)


def tail(log: Path) -> str:
    """The last lines of a log file, empty when there is none."""
    try:
        return _tail(log.read_text(errors="replace"))
    except FileNotFoundError:
        return ""


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LAST_LINES:])


def _shown(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) < 160 else text[:157] + "..."
