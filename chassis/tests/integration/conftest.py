"""A private RabbitMQ for the tests of this folder: started once, and killed and restarted by some of them."""

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
from chassis.messaging import broker, message_processor
from chassis.messaging import consumer as consumer_module
from chassis.messaging.consumer import Consumer, ConsumerConfig
from chassis.messaging.outbox import EVENTS
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime.config import ServiceSettings
from quintet_testing.postgres import free_port

Publish = Callable[..., str]


class Node:
    """RabbitMQ at `url`; it can be killed and restarted if it is private."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_private = False

    def connect(self) -> Any:
        return broker.connect(self.url, "tests")

    def responds(self) -> bool:
        try:
            self.connect().close()
        except (broker.Error, OSError):
            return False
        return True


class PrivateNode(Node):
    """A server that runs as in deploy/local."""

    def __init__(self, folder: Path) -> None:
        from quintet_local.layout import Layout
        from quintet_local.rabbitmq import RabbitMQ

        layout = Layout(home=folder, env_file=folder / ".env")
        layout.create_folders()
        ports = {name: free_port() for name in ("amqp", "erlang", "epmd")}
        settings = {name: secrets.token_hex(16) for name in ("RABBITMQ_PASSWORD", "RABBITMQ_ERLANG_COOKIE")}
        rabbitmq = RabbitMQ(layout, settings, ports, services=[])
        rabbitmq.prepare()
        self._mapper, self._server = rabbitmq.programs()
        self._log = (folder / "rabbitmq.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []
        super().__init__(rabbitmq.url())
        self.is_private = True

    def start(self) -> None:
        if not self._processes:
            self._processes.append(self._run(self._mapper))
        self._processes.append(self._run(self._server))

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        server = self._processes.pop()
        os.killpg(server.pid, signal_number)
        server.wait(30)

    def send_signal(self, signal_number: int) -> None:
        os.killpg(self._processes[-1].pid, signal_number)

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
    """An address at which a node of RabbitMQ listens, until it is frozen: then it accepts and never responds."""

    def __init__(self, target: tuple[str, int], address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target, self._listener = target, socket.create_server(address)
        self._sockets: list[tuple[socket.socket, socket.socket]] = []
        self._silent: list[socket.socket] = []
        self._frozen = threading.Event()
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Disconnect from the node, as if its cluster noticed immediately; keep the clients' connections open."""
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
def create_address(node: Node) -> Iterator[Callable[..., Address]]:
    """Return a function that creates another address of the node."""
    parts = urlsplit(node.url)
    addresses = []

    def create(*address: Any) -> Address:
        addresses.append(Address((parts.hostname or "", parts.port or 5672), *address))
        return addresses[-1]

    yield create
    for address in addresses:
        address.close()


@pytest.fixture
def cluster_url(node: Node) -> Callable[..., str]:
    """Return a function that returns the URL of a cluster with these hosts."""

    def url_of(*hosts: str) -> str:
        parts = urlsplit(node.url)
        credentials = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{credentials}@{','.join(hosts)}").geturl()

    return url_of


@pytest.fixture(scope="session")
def node(eventually: Callable[..., Any]) -> Iterator[Node]:
    """The RabbitMQ at TEST_AMQP_URL, or a private one."""
    if url := os.environ.get("TEST_AMQP_URL"):
        yield Node(url)
        return
    from quintet_local.progress import StackError

    with tempfile.TemporaryDirectory(prefix="quintet-test-rabbitmq-", ignore_cleanup_errors=True) as folder:
        try:
            private = PrivateNode(Path(folder))
        except StackError as error:
            pytest.skip(f"RabbitMQ is not available: {error}")
        try:
            private.start()
            eventually(private.responds, within_seconds=120)
            yield private
        finally:
            private.remove()


@pytest.fixture
def private_node(node: Node) -> Node:
    if not node.is_private:
        pytest.skip("the RabbitMQ at TEST_AMQP_URL must not be stopped")
    return node


@pytest.fixture
def channel(node: Node) -> Iterator[Any]:
    connection = node.connect()
    channel = connection.channel()
    # A private node has the exchange from its definitions; the one at TEST_AMQP_URL may lack it.
    channel.exchange_declare(EVENTS, "topic", durable=True)
    channel.confirm_delivery()
    yield channel
    with contextlib.suppress(broker.Error):
        connection.close()


@pytest.fixture
def queue() -> str:
    """A unique name."""
    return f"probe.{secrets.token_hex(4)}"


@pytest.fixture
def publish(channel: Any) -> Publish:
    """Return a function that publishes a message and returns its ID."""

    def publish_to(queue: str, body: bytes, **properties: Any) -> str:
        properties = {"message_id": str(uuid.uuid4()), "delivery_mode": 2, **properties}
        channel.basic_publish("", queue, body, broker.Properties(**properties), mandatory=True)
        return str(properties["message_id"])

    return publish_to


@pytest.fixture
def consume(
    settings: ServiceSettings, db: Database, node: Any, queue: str, eventually: Any
) -> Iterator[Callable[..., threading.Event]]:
    """Return a function that starts a consumer of the queue and returns the event that stops it."""
    started = []

    def start(
        handler: Any,
        *,
        threads: int = 4,
        url: str = node.url,
        database: Database = db,
        metrics: WorkerMetrics | None = None,
        **options: Any,
    ) -> threading.Event:
        stop_event = threading.Event()
        config = ConsumerConfig(handler, **options)
        consumer = Consumer(
            "probe", queue, config, database, url, stop_event, threads, settings, metrics or WorkerMetrics("probe")
        )
        thread = threading.Thread(target=consumer.run)
        thread.start()
        started.append((stop_event, thread))
        eventually(lambda: consumer.is_connected)
        return stop_event

    yield start
    for stop_event, _ in started:
        stop_event.set()
    for _, thread in started:
        # Draining may take 20 s; and after a restart of the broker, a queue without a leader blocks for a minute.
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_processor, "_FAILURE_DELAYS_SECONDS", (0.02, 0.1, 0.3, 0.6))
    monkeypatch.setattr(message_processor, "_MIN_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(consumer_module, "_MIN_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(consumer_module, "_MAX_RETRY_SECONDS", 0.05)


@pytest.fixture
def effects(db: Database) -> Callable[[], list[str]]:
    def names() -> list[str]:
        with db.transaction() as tx:
            return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]

    return names


@pytest.fixture
def next_dead_letter(channel: Any, queue: str, eventually: Any) -> Callable[[], Any]:
    """Return a function that removes the next dead letter and returns its properties and body."""

    def receive() -> Any:
        _, properties, body = eventually(lambda: _receive(channel, broker.dead_letter_queue(queue)))
        return properties, body

    return receive


def _receive(channel: Any, queue: str) -> Any:
    message = channel.basic_get(queue, auto_ack=True)
    return message if message[0] else None
