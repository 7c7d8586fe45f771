"""What an administrator does to a private RabbitMQ, by Erlang's own `erl_call`, and three of them as one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from minga_node.local.broker import HOST, PrivateBroker
from tests.nodes import free_port
from tests.waiting import wait_for

COOKIE = "minga-test"
STRANGER = "a-stranger"
"""A cookie that nobody has."""


def node_name(broker: PrivateBroker) -> str:
    return f"minga-{broker.port}@localhost"


def erlang(broker: PrivateBroker, expressions: str) -> str:
    """Has the broker evaluate something; the value of the last expression."""
    cookie = (broker._base / ".erlang.cookie").read_text()
    done = subprocess.run(
        ["erl_call", "-c", cookie, "-n", node_name(broker), "-e"],
        input=expressions + "\n",
        env={**os.environ, "ERL_EPMD_PORT": str(broker._epmd_port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("{ok,"), (expressions, done.stdout)
    return done.stdout.removeprefix("{ok,").removesuffix("}").strip()


def alarm(broker: PrivateBroker, resource: str, *, on: bool) -> None:
    """The alarm for ``memory`` or ``disk``, as RabbitMQ's own monitors set it."""
    name = f"{{resource_limit, {resource}, node()}}"
    erlang(broker, f"rabbit_alarm:{f'set_alarm({{{name}, []}})' if on else f'clear_alarm({name})'}.")


def publish(broker: PrivateBroker, exchange: str, routing_key: str, *bodies: bytes) -> None:
    """Publishes messages and waits until each is in a queue, also where that is only just being bound."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            wait_for(
                lambda body=body: _taken(channel, exchange, routing_key, body),  # type: ignore[misc]
                f"a queue for {routing_key}",
            )


def _taken(channel: BlockingChannel, exchange: str, routing_key: str, body: bytes) -> bool:
    try:
        channel.basic_publish(exchange, routing_key, body, mandatory=True)
    except pika.exceptions.UnroutableError:
        return False
    return True


def close_connections(broker: PrivateBroker) -> None:
    """As `rabbitmqctl close_all_connections`."""
    erlang(
        broker,
        '[rabbit_networking:close_connection(P, "closed by hand") || P <- rabbit_networking:connections()].',
    )


def set_password(broker: PrivateBroker, password: str) -> None:
    """As `rabbitmqctl change_password`."""
    change = f'rabbit_auth_backend_internal:change_password(<<"minga">>, <<"{password}">>, <<"test">>).'
    assert erlang(broker, change) == "ok"


class Member(PrivateBroker):
    """One of a cluster."""

    def __init__(self, base: Path, epmd_port: int) -> None:
        super().__init__(base, free_port())
        self._epmd_port = epmd_port
        self._password = COOKIE
        self.ports: Sequence[int] = ()
        """Of all members."""
        base.mkdir(parents=True)
        cookie = base / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)

    def _launch_epmd(self, environment: dict[str, str]) -> None:
        """The cluster's is there already."""

    def _listener(self) -> str:
        nodes = enumerate(self.ports, 1)
        return (
            super()._listener() + "cluster_partition_handling = pause_minority\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
            + "".join(
                f"cluster_formation.classic_config.nodes.{n} = minga-{port}@localhost\n" for n, port in nodes
            )
        )

    def freeze(self) -> None:
        """It does nothing any more, and its connections stay."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self._processes:
            os.killpg(process.pid, signal.SIGCONT)


class Cluster:
    """Three brokers that are one. In a minority a member pauses, as with those that the operator makes."""

    def __init__(self, base: Path) -> None:
        self._base, self._epmd_port = base, free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self.members = [Member(base / name, self._epmd_port) for name in "abc"]
        for member in self.members:
            member.ports = [each.port for each in self.members]

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members]

    def start(self) -> None:
        self._epmd = subprocess.Popen(
            [shutil.which("epmd") or "epmd", "-address", HOST, "-port", str(self._epmd_port)],
            stdin=subprocess.DEVNULL,
        )
        starts = [threading.Thread(target=member.start) for member in self.members]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        self.whole()

    def whole(self, seconds: float = 120) -> None:
        """Waits until each sees the other two."""
        for member in self.members:
            wait_for(
                lambda member=member: (
                    int(erlang(member, "length([N || N <- [node() | nodes()], rabbit:is_running(N)]).")) == 3
                ),  # type: ignore[misc]
                f"{node_name(member)} sees three",
                seconds,
                every=0.5,
            )

    def part(self, lonely: Member) -> None:
        """The network between a member and the others is cut; clients still reach all of them."""
        others = [member for member in self.members if member is not lonely]
        _part(lonely, others)
        for other in others:
            _part(other, [lonely])

    def heal(self) -> None:
        for member in self.members:
            for other in self.members:
                erlang(member, f"erlang:set_cookie('{node_name(other)}', '{COOKIE}').")

    def mend(self) -> None:
        """Has all three run and see each other, whatever was done to them."""
        for member in self.members:
            member.thaw()
            if not member.running:
                member.start()
        self.heal()
        self.whole()

    def stop(self) -> None:
        for member in self.members:
            member.thaw()
        for member in self.members:
            member.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()


def _part(member: Member, others: Sequence[Member]) -> None:
    for other in others:
        name = f"'{node_name(other)}'"
        # First the cookie: whoever comes again is refused.
        erlang(member, f"erlang:set_cookie({name}, '{STRANGER}'), erlang:disconnect_node({name}).")


@contextmanager
def cluster(base: Path) -> Iterator[Cluster]:
    made = Cluster(base)
    try:
        made.start()
        yield made
    finally:
        made.stop()
