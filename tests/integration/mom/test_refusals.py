"""Brokers that do not want us, or are none: what is said, and that the node is there once it is mended."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pika
import pytest

from minga_node.local.broker import HOST, PrivateBroker, private
from minga_node.mom import BrokerAddresses
from tests.nodes import Nodes, free_port
from tests.support.broker_end import End
from tests.support.rabbit import close_connections, erlang, set_password
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


def test_a_virtual_host_that_is_not_there_is_named_until_it_is(broker: PrivateBroker, tmp_path: Path) -> None:
    end = End(tmp_path, "a", f"{broker.url}nowhere").begin()
    try:
        end.says("it refuses the virtual host: vhost nowhere not found")
        assert f"(amqp://{HOST}:{broker.port})" in end.problem
        erlang(broker, 'rabbit_vhost:add(<<"nowhere">>, <<"test">>).')
        end.says("it refuses the virtual host: access to vhost 'nowhere' refused for user 'minga'")
        allow = '<<"minga">>, <<"nowhere">>, <<".*">>, <<"{write}">>, <<".*">>, <<"test">>'
        allowed = f"rabbit_auth_backend_internal:set_permissions({allow})."
        erlang(broker, allowed.replace("{write}", "^$"))
        end.says("it said: ACCESS_REFUSED - ")
        erlang(broker, allowed.replace("{write}", ".*"))
        end.connected(25)
        assert end.problem == ""
    finally:
        end.stop()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "it does not answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak AMQP 0-9-1"),
        (b"", "does not speak AMQP 0-9-1"),
    ],
)
def test_what_is_no_broker_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr("minga_node.mom.session.OPEN_SECONDS", 2.0)
    taken: list[socket.socket] = []
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                taken.append(connection)
                if answer is not None:
                    connection.recv(8)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        end = End(tmp_path, "a", f"amqp://minga:secret@{HOST}:{listener.getsockname()[1]}/").begin()
        try:
            end.says(words)
            assert "secret" not in end.problem
        finally:
            end.stop()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


def test_what_cannot_be_reached_is_said_and_keeps_no_node_from_ending(tmp_path: Path) -> None:
    # A listener whose queue is full answers no SYN, as a host that is gone.
    with socket.socket() as full, ExitStack() as waiting:
        full.bind((HOST, 0))
        full.listen(0)
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        end = End(tmp_path, "a", f"amqp://{HOST}:{full.getsockname()[1]}/").begin()
        try:
            end.says("it does not answer", 20)
        finally:
            began = time.monotonic()
            end.mom.stop()
            took = time.monotonic() - began
            alive = end.mom._link.worker.alive
            end.stop()
        assert not alive
        assert took < 4.0


def test_a_broker_that_starts_late_is_found_soon_after(tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path / "broker", free_port())
    end = End(tmp_path, "a", broker.url).begin()
    try:
        end.says("connection refused")
        wait_for(lambda: end.mom._link._backoff._tries > 6, "it has tried often, and waits long now")
        broker.start()
        # Five seconds, and what a busy machine takes to connect.
        end.connected(5 + 5)
    finally:
        end.stop()
        broker.stop()


def test_a_password_that_is_changed_in_a_mounted_file_is_taken_without_a_restart(
    broker: PrivateBroker, nodes: Nodes, tmp_path: Path
) -> None:
    mounted = tmp_path / "secret"
    mounted.mkdir()

    def mount(url: str) -> None:
        """As the kubelet does: a new folder, and a link that is moved to it."""
        folder = mounted / f"..{len(list(mounted.iterdir()))}"
        folder.mkdir()
        (folder / "uri").write_text(url + "\n")
        link = mounted / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(mounted / "..data")

    file = mounted / "uri"
    file.symlink_to("..data/uri")
    node = nodes.start("a", broker_url_file=str(file)).ready()
    wait_for(lambda: "cannot be read" in node.get("/api/v1/node")["broker_problem"], "nothing is mounted yet")
    mount(broker.url)
    wait_for(lambda: node.metric("minga_broker_connected") == 1, f"it is connected: {node.log}", 15)
    process = node.process.pid
    try:
        # First the broker's, then the file's: in between the connection is lost.
        set_password(broker, "rotated")
        close_connections(broker)
        refused = "it refuses the user or the password"
        wait_for(lambda: refused in node.get("/api/v1/node")["broker_problem"], "it says so", 15)
        mount(f"amqp://minga:rotated@{HOST}:{broker.port}/")
        wait_for(lambda: node.metric("minga_broker_connected") == 1, f"it is back: {node.log}", 10)
        # Then the file's first; the connection that is there stays.
        before = node.log.count("connected to the broker")
        mount(broker.url)
        set_password(broker, broker.url.split(":")[2].split("@")[0])
        close_connections(broker)
        wait_for(lambda: node.log.count("connected to the broker") == before + 1, "back at once", 10)
    finally:
        set_password(broker, broker.url.split(":")[2].split("@")[0])
    node.put("after.txt", b"x")
    wait_for(lambda: node.metric("minga_outbox_messages") == 0, "it speaks", 15)
    assert node.process.pid == process
    assert node.process.poll() is None
    assert "rotated" not in node.log


def test_a_node_moves_to_the_broker_that_its_file_names_now(broker: PrivateBroker, tmp_path: Path) -> None:
    file = tmp_path / "uri"
    file.write_text(broker.url)
    end = End(tmp_path, "a", BrokerAddresses(file=file)).start()
    try:
        erlang(broker, 'rabbit_vhost:add(<<"other">>, <<"test">>).')
        rights = '<<".*">>, <<".*">>, <<".*">>, <<"test">>'
        erlang(broker, f'rabbit_auth_backend_internal:set_permissions(<<"minga">>, <<"other">>, {rights}).')
        file.write_text("nonsense")
        wait_for(lambda: end.mom._link._addresses._looked == b"nonsense", "it has looked at it", 10)
        assert end.lapses == 0, "what is no address is no reason to leave"
        other = tmp_path / "other"
        other.write_text(f"{broker.url}other\n")
        Path(other).replace(file)
        wait_for(lambda: end.lapses == 1, "it leaves", 10)
        end.connected(10)
        end.tell(1)
        end.told(10)
        with pika.BlockingConnection(pika.URLParameters(f"{broker.url}other")) as connection:
            connection.channel().queue_declare(f"minga.{tmp_path.name}.events.a", passive=True)
    finally:
        end.stop()


def test_a_broker_with_the_smallest_frames_carries_messages_of_any_size(tmp_path: Path) -> None:
    class Small(PrivateBroker):
        def _listener(self) -> str:
            return super()._listener() + "frame_max = 4096\n"

    broker = Small(tmp_path / "broker")
    broker.start()
    speaker = End(tmp_path, "speaker", broker.url).start()
    listener = End(tmp_path, "listener", broker.url).start()
    try:
        listener.hears(speaker.tell(*range(3), padding="x" * 50_000), 20)
        assert speaker.lapses == listener.lapses == 0
    finally:
        speaker.stop()
        listener.stop()
        broker.stop()
