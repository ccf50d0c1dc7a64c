"""A RabbitMQ of its own for the tests of this folder: started once, killed and started again by some."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chassis.db import Database
from chassis.messaging import broker, consumer, message_processor
from chassis.messaging.consumer import Consumer, ConsumerConfig
from chassis.messaging.outbox import EVENTS
from quintet_testing.postgres import free_port

Published = Callable[..., str]


class Node:
    """RabbitMQ at `url`; can be killed and started again where it is our own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_ours = False

    def connect(self) -> Any:
        return broker.connect(self.url, "tests")

    def answers(self) -> bool:
        try:
            self.connect().close()
        except (broker.Error, OSError):
            return False
        return True


class OwnNode(Node):
    """Run as deploy/local runs it."""

    def __init__(self, folder: Path) -> None:
        from quintet_local.layout import Layout
        from quintet_local.rabbitmq import RabbitMQ

        layout = Layout(home=folder, env_file=folder / ".env")
        layout.make()
        ports = {name: free_port() for name in ("amqp", "erlang", "epmd")}
        settings = {name: secrets.token_hex(16) for name in ("RABBITMQ_PASSWORD", "RABBITMQ_ERLANG_COOKIE")}
        rabbitmq = RabbitMQ(layout, settings, ports, services=[])
        rabbitmq.prepare()
        self._mapper, self._server = rabbitmq.programs()
        self._log = (folder / "rabbitmq.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []
        super().__init__(rabbitmq.url())
        self.is_ours = True

    def start(self) -> None:
        if not self._processes:
            self._processes.append(self._run(self._mapper))
        self._processes.append(self._run(self._server))

    def stop(self, number: int = signal.SIGTERM) -> None:
        server = self._processes.pop()
        os.killpg(server.pid, number)
        server.wait(30)

    def send_signal(self, number: int) -> None:
        os.killpg(self._processes[-1].pid, number)

    def remove(self) -> None:
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        self._log.close()

    def _run(self, program: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            program.command, env=program.environment, stdout=self._log, stderr=self._log, start_new_session=True
        )


class Address:
    """An address at which a node of RabbitMQ listens, until it is frozen: then it accepts and never answers."""

    def __init__(self, target: tuple[str, int], address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target, self._listener = target, socket.create_server(address)
        self._sockets: list[tuple[socket.socket, socket.socket]] = []
        self._silent: list[socket.socket] = []
        self._frozen = threading.Event()
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """The rest of the cluster misses the node at once; who is connected to it hears nothing."""
        self._frozen.set()
        for _, server in self._sockets:
            _shut(server)

    def close(self) -> None:
        _shut(self._listener)
        self.freeze()
        for client in [*self._silent, *(client for client, _ in self._sockets)]:
            _shut(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                if self._frozen.is_set():
                    self._silent.append(client)
                    continue
                server = socket.create_connection(self._target)
                self._sockets.append((client, server))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._frozen.is_set():
                    target.sendall(data)
        if not self._frozen.is_set():
            _shut(target)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture
def address_of(node: Node) -> Iterator[Callable[..., Address]]:
    """Makes one more address of the node."""
    parts = urlsplit(node.url)
    made = []

    def make(*address: Any) -> Address:
        made.append(Address((parts.hostname or "", parts.port or 5672), *address))
        return made[-1]

    yield make
    for address in made:
        address.close()


@pytest.fixture
def url_of(node: Node) -> Callable[..., str]:
    """The URL of a cluster at these hosts."""

    def make(*hosts: str) -> str:
        parts = urlsplit(node.url)
        credentials = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{credentials}@{','.join(hosts)}").geturl()

    return make


@pytest.fixture(scope="session")
def node(eventually: Callable[..., Any]) -> Iterator[Node]:
    """TEST_AMQP_URL, or a private one."""
    if given := os.environ.get("TEST_AMQP_URL"):
        yield Node(given)
        return
    from quintet_local.progress import StackError

    with tempfile.TemporaryDirectory(prefix="quintet-test-rabbitmq-", ignore_cleanup_errors=True) as folder:
        try:
            own = OwnNode(Path(folder))
        except StackError as error:
            pytest.skip(f"no RabbitMQ: {error}")
        try:
            own.start()
            eventually(own.answers, within_seconds=60)
            yield own
        finally:
            own.remove()


@pytest.fixture
def own_node(node: Node) -> Node:
    if not node.is_ours:
        pytest.skip("the RabbitMQ at TEST_AMQP_URL is not ours to be stopped")
    return node


@pytest.fixture
def channel(node: Node) -> Iterator[Any]:
    connection = node.connect()
    channel = connection.channel()
    # A private node has it from its definitions, one at TEST_AMQP_URL may not.
    channel.exchange_declare(EVENTS, "topic", durable=True)
    channel.confirm_delivery()
    yield channel
    with contextlib.suppress(broker.Error):
        connection.close()


@pytest.fixture
def queue() -> str:
    """A name that nobody else uses."""
    return f"probe.{secrets.token_hex(4)}"


@pytest.fixture
def publish(channel: Any) -> Published:
    """Gives the message's id."""

    def to(queue: str, body: bytes, **given: Any) -> str:
        properties = {"message_id": str(uuid.uuid4()), "delivery_mode": 2, **given}
        channel.basic_publish("", queue, body, broker.Properties(**properties), mandatory=True)
        return str(properties["message_id"])

    return to


@pytest.fixture
def consume(
    settings: Any, db: Database, node: Any, queue: str, eventually: Any
) -> Iterator[Callable[..., threading.Event]]:
    """Starts a worker's consumer of the queue and gives the event that stops it."""
    started = []

    def start(handler: Any, *, threads: int = 4, url: str = node.url, **how: Any) -> threading.Event:
        stopping = threading.Event()
        running = Consumer("probe", queue, ConsumerConfig(handler, **how), db, url, stopping, threads, settings)
        thread = threading.Thread(target=running.run)
        thread.start()
        started.append((stopping, thread))
        eventually(lambda: running.connected)
        return stopping

    yield start
    for stopping, _ in started:
        stopping.set()
    for _, thread in started:
        # It has 20 s to drain; and where the broker has just begun, a queue without a leader holds it up for a minute.
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_processor, "_FAILURE_PAUSES", (0.02, 0.1, 0.3, 0.6))
    monkeypatch.setattr(message_processor, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(consumer, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(consumer, "_LONGEST_PAUSE", 0.05)


@pytest.fixture
def effects(db: Database) -> Callable[[], list[str]]:
    def names() -> list[str]:
        with db.transaction() as tx:
            return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]

    return names


@pytest.fixture
def dead(channel: Any, queue: str, eventually: Any) -> Callable[[], Any]:
    """The next dead letter's (properties, body)."""

    def take() -> Any:
        found = eventually(lambda: _taken(channel, broker.dead_letter_queue(queue)))
        return found[1], found[2]

    return take


def _taken(channel: Any, queue: str) -> Any:
    found = channel.basic_get(queue, auto_ack=True)
    return found if found[0] else None
