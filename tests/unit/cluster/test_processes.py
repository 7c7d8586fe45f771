"""The test cluster ends the processes that it started and never another that got one's number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import Process
from tests.cluster.shell import ClusterError, Ended, wait_for


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "records" / "sleeper", tmp_path / "logs" / "sleeper.log")
    process.start(["sleep", "60"])
    record = process.record.read_text()
    yield process
    process.record.write_text(record)
    process.kill()


def test_a_started_process_is_the_program_itself(sleeper: Process) -> None:
    pid = sleeper.pid()
    assert pid is not None
    program = Path(f"/proc/{pid}/comm")
    wait_for("the program", lambda: program.read_text() == "sleep\n", 10, 0.01)
    assert os.getsid(pid) == pid


def test_kill_ends_it_and_may_be_repeated(sleeper: Process) -> None:
    sleeper.kill()
    assert sleeper.pid() is None
    sleeper.kill()
    with pytest.raises(Ended, match="sleeper has ended"):
        sleeper.check()


def test_a_process_that_got_the_same_id_later_is_not_ours(sleeper: Process) -> None:
    pid = sleeper.pid()
    stat, boot = sleeper.record.read_text().splitlines()
    before, after = stat.rsplit(")", 1)
    fields = after.split()
    fields[19] = str(int(fields[19]) - 1)  # starttime, in clock ticks since the boot: proc(5)
    sleeper.record.write_text(f"{before}) {' '.join(fields)}\n{boot}\n")
    assert sleeper.pid() is None
    sleeper.kill()
    assert Path(f"/proc/{pid}").exists()


def test_a_process_of_an_earlier_boot_is_not_ours(sleeper: Process) -> None:
    pid = sleeper.pid()
    stat, _ = sleeper.record.read_text().splitlines()
    sleeper.record.write_text(f"{stat}\n00000000-0000-0000-0000-000000000000\n")
    assert sleeper.pid() is None
    sleeper.kill()
    assert Path(f"/proc/{pid}").exists()


def test_waiting_tells_the_last_reason() -> None:
    def never() -> bool:
        raise ClusterError("no answer yet")

    with pytest.raises(ClusterError, match=r"the server: not within 0 s: no answer yet"):
        wait_for("the server", never, 0)
