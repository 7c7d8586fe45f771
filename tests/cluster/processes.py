"""Processes that outlive the command which started them, recorded so that exactly they can be ended later.

The record is written by the process itself before it becomes the program, so there is no moment in which it
runs unrecorded. It holds the process's start time and the machine's boot, so that an id which the kernel gave
to somebody else meanwhile is never taken for ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .shell import ClusterError, Ended, run, tail, wait_for

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_RECORD_THEN_RUN = f'cat "/proc/$$/stat" {_BOOT} > "$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Process:
    """One recorded process: `record` is its file, `log` gets its output."""

    record: Path
    log: Path

    @property
    def name(self) -> str:
        return self.record.name

    def start(self, argv: Sequence[str | Path]) -> None:
        """Start it in a session of its own. Returns when its record is written."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.record.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            child = subprocess.Popen(
                ["sh", "-c", _RECORD_THEN_RUN, str(self.record), *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        wait_for(f"{self.name} started", lambda: self.record.exists() or child.poll() is not None, 10, 0.01)
        if not self.record.exists():
            raise ClusterError(f"{self.name} did not start:\n{tail(self.log)}")
        # The child lives on; without this Popen's destructor would warn that nobody waited for it.
        child.returncode = 0

    def pid(self) -> int | None:
        """Its id while it runs, else None."""
        try:
            stat, boot = self.record.read_text().splitlines()
            recorded = Stat.parse(stat)
            now = Stat.parse(Path(f"/proc/{recorded.pid}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        same = boot == _BOOT.read_text().strip() and now.started == recorded.started
        return now.pid if same and now.state not in "ZX" else None

    def check(self) -> None:
        """Raise Ended with the end of its log when it doesn't run."""
        if self.pid() is None:
            raise Ended(f"{self.name} has ended; the end of {self.log}:\n{tail(self.log)}")

    def kill(self, seconds: float = 10) -> None:
        """End it at once and wait until it is gone; nothing to do when it doesn't run."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_for(f"the end of {self.name}", lambda: self.pid() is None, seconds, 0.02)
        self.record.unlink(missing_ok=True)


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/PID/stat (proc(5)) that tell one process from another; `started` in clock ticks."""

    pid: int
    state: str
    started: int

    @classmethod
    def parse(cls, text: str) -> Stat:
        before, _, after = text.rpartition(")")
        fields = after.split()
        return cls(int(before.split(" ", 1)[0]), fields[0], int(fields[19]))


@dataclass(frozen=True)
class Sandbox:
    """A machine within the machine: network, mounts, process ids and host name of its own.

    One process holds them. When it is killed the kernel ends everything inside and takes the mounts and links
    away: a node with all its containers is removed by one recorded id, however it was left.
    """

    holder: Process
    hostname: str

    def start(self, init: Path) -> None:
        """Make it, with the program `init` as its process 1, which must reap its orphans."""
        own = ["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child=KILL"]
        self.holder.start(["unshare", *own, "--propagation", "private", "--mount-proc", init])
        wait_for(f"the namespaces of {self.hostname}", self._is_apart, 10, 0.02)
        run(*self.inside("hostname", self.hostname), timeout=10)

    def kill(self) -> str | None:
        """Kill all in it. Returns its process namespace, for `wait_empty`, or None when it doesn't run."""
        pid = self.holder.pid()
        space = _namespace(f"/proc/{pid}/ns/pid_for_children") if pid else None
        self.holder.kill()
        return space

    def _is_apart(self) -> bool:
        self.holder.check()
        children = _namespace(f"/proc/{self._pid()}/ns/pid_for_children")
        return children not in {None, _namespace("/proc/self/ns/pid")} and _is_running_in(children)

    @property
    def network(self) -> str:
        """The process id by which `ip link ... netns` names its network."""
        return str(self._pid())

    def inside(self, *argv: str | Path) -> list[str]:
        """The command that runs `argv` in here.

        Not `ip netns exec`: that mounts /sys anew, and kubelet finds no control groups.
        """
        own = f"/proc/{self._pid()}/ns"
        spaces = [
            f"--net={own}/net",
            f"--mount={own}/mnt",
            f"--uts={own}/uts",
            f"--pid={own}/pid_for_children",
        ]
        return ["nsenter", *spaces, "--", *map(str, argv)]

    def in_network(self, *argv: str | Path) -> list[str]:
        """The command that runs `argv` with this network and otherwise as we are."""
        return ["nsenter", f"--net=/proc/{self._pid()}/ns/net", "--", *map(str, argv)]

    def _pid(self) -> int:
        pid = self.holder.pid()
        if pid is None:
            raise ClusterError(f"{self.hostname} does not run")
        return pid


def wait_empty(process_namespace: str, seconds: float = 30) -> None:
    """Return when the kernel has ended the last process of a killed sandbox."""
    wait_for("the end of a sandbox", lambda: not _is_running_in(process_namespace), seconds, 0.05)


def _is_running_in(process_namespace: str | None) -> bool:
    """Whether any process is there: before that nobody else can enter."""
    processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return any(_namespace(f"{process}/ns/pid") == process_namespace for process in processes)


def _namespace(link: str) -> str | None:
    try:
        return str(Path(link).readlink())
    except OSError:  # it has just ended, has no process yet, or is not ours to look at
        return None
