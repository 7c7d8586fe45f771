"""A private RabbitMQ on loopback, for local networks and for tests; it ends with its owner."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minga_node.errors import BrokerUnavailable

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
TRIES = 3
# The first is the server itself; the one on the PATH may be a wrapper that only root can run.
SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


def installed() -> bool:
    """Whether a RabbitMQ can be started here."""
    return _server() is not None and shutil.which("epmd") is not None


def _server() -> str | None:
    return next((found for name in SERVERS if (found := shutil.which(name))), None)


class PrivateBroker:
    """One RabbitMQ below ``base``. Its data outlive a stop, so that it can be started again.

    Raises:
        BrokerUnavailable: it is not installed, or does not start; says where its log is.
    """

    def __init__(self, base: Path, port: int | None = None) -> None:
        self._base = base
        self._given = port
        self._take_ports()
        self._password = secrets.token_urlsafe(16)
        self._processes: list[subprocess.Popen[bytes]] = []

    def _take_ports(self) -> None:
        self.port = self._given or _free_port()
        self._epmd_port, self._dist_port = _free_port(), _free_port()

    @property
    def url(self) -> str:
        """AMQP address with user and password."""
        return f"amqp://minga:{self._password}@{HOST}:{self.port}/"

    @property
    def running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        first = not (self._base / "data").exists()
        for left in reversed(range(TRIES)):
            try:
                self._start()
            except BrokerUnavailable:
                # A port that was free may be somebody's by now. Once it has run, others know its port.
                if not (first and left and installed()):
                    raise
                self._take_ports()
            else:
                return

    def _start(self) -> None:
        server = _server()
        if server is None or not installed():
            raise BrokerUnavailable("rabbitmq-server is not installed")
        self._base.mkdir(parents=True, exist_ok=True)
        config = self._base / "rabbitmq.conf"
        config.write_text(
            f"{self._listener()}"
            f"default_user = minga\ndefault_pass = {self._password}\n"
            # A laptop's full disk or busy memory is no reason to block a handful of small messages.
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 512MiB\n"
            "log.console.level = warning\n"
        )
        (self._base / "enabled_plugins").write_text("[].\n")
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(self._base),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            # One scheduler pair and no busy waiting: it shares the machine with the nodes.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_NODENAME": f"minga-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._base / "data"),
            "RABBITMQ_LOG_BASE": str(self._base / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": str(self._base / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._base / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self._base / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._base / "config"),
        }
        (self._base / "rabbitmq-env.conf").touch()
        self._launch_epmd(environment)
        self._launch([server], environment, "broker.log")
        self._wait()

    def _launch_epmd(self, environment: dict[str, str]) -> None:
        """Erlang's port mapper, of its own: one of the machine may be anybody's."""
        epmd = shutil.which("epmd") or "epmd"
        self._launch([epmd, "-address", HOST, "-port", str(self._epmd_port)], environment, "epmd.log")

    def _listener(self) -> str:
        """Where it listens, as lines of its configuration."""
        return f"listeners.tcp.1 = {HOST}:{self.port}\n"

    def _launch(self, command: list[str], environment: dict[str, str], log: str) -> None:
        with (self._base / log).open("ab") as out:
            # A session of its own: a Ctrl-C in the terminal is for us, who then end it in order.
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self._base,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                self.stop()
                raise BrokerUnavailable(f"RabbitMQ does not start; {self._base / 'broker.log'} says why")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether it begins to speak AMQP (0-9-1, 4.2.2)."""
        try:
            with self._connect() as connection:
                connection.sendall(AMQP_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), 1)

    def stop(self) -> None:
        """Ends it in order; what does not end in time is killed."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        for process in reversed(self._processes):
            _signal_group(process, how)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()
            # Helpers of the Erlang machine that outlived it.
            _signal_group(process, signal.SIGKILL)
        self._processes.clear()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


@contextmanager
def private(base: Path) -> Iterator[PrivateBroker]:
    """A private RabbitMQ for the time of a block."""
    broker = PrivateBroker(base)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
