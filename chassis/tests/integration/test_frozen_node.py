"""A node of RabbitMQ that stops answering is left for the next address, and not tried first again."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.messaging import broker, outbox
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import Publication
from chassis.messaging.publisher import publish as publish_one
from chassis.messaging.relay import Relay

# 15 s until a frozen node is left, 3 s until the next is tried, and what a busy machine adds; it took 70 s.
PATIENCE_SECONDS = 25


def note(tx: Any, delivery: Any) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


@pytest.fixture
def two(address_of: Any) -> tuple[Any, Any]:
    return address_of(), address_of()


@pytest.fixture
def cluster(two: Any, url_of: Any) -> str:
    return url_of(*(f"127.0.0.1:{address.port}" for address in two))


@pytest.fixture
def relay(settings: Any, cluster: str, start_in_thread: Any) -> Relay:
    return start_in_thread(lambda stopping: Relay("probe", settings.database_url, cluster, stopping))


@pytest.fixture
def start_in_thread() -> Iterator[Callable[..., Any]]:
    stopping, threads = threading.Event(), []

    def start(make: Callable[[threading.Event], Any]) -> Any:
        runner = make(stopping)
        threads.append(threading.Thread(target=runner.run))
        threads[-1].start()
        return runner

    yield start
    stopping.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_consumer_leaves_a_frozen_node(
    consume: Any, publish: Any, queue: str, two: Any, cluster: str, effects: Any, eventually: Any
) -> None:
    first, second = two
    consume(note, url=cluster)
    assert (first.accepted, second.accepted) == (1, 0)
    first.freeze()
    publish(queue, b'{"name": "after"}')
    eventually(lambda: effects() == ["after"], within_seconds=PATIENCE_SECONDS)
    assert (first.accepted, second.accepted) == (1, 1)


def test_an_idle_relay_leaves_a_frozen_node(relay: Relay, two: Any, eventually: Any) -> None:
    first, second = two
    eventually(lambda: relay.connected)
    first.freeze()
    eventually(lambda: second.accepted == 1, within_seconds=PATIENCE_SECONDS)
    assert first.accepted == 1


def test_a_relay_leaves_a_node_that_froze_under_its_messages(
    relay: Relay, two: Any, db: Any, channel: Any, queue: str, eventually: Any
) -> None:
    broker.declare_queue(channel, queue)
    eventually(lambda: relay.connected)
    two[0].freeze()
    with db.transaction() as tx:
        outbox.add_all(tx, [outbox.job(queue, {"n": number}, request_id="r-1") for number in range(100)])

    def arrived() -> bool:
        return bool(channel.queue_declare(queue, passive=True).method.message_count == 100)

    eventually(arrived, within_seconds=PATIENCE_SECONDS)


def test_the_first_connection_passes_a_frozen_node(two: Any, cluster: str) -> None:
    two[0].freeze()
    began = time.monotonic()
    broker.connect(cluster, "tests").close()
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_single_message_passes_a_frozen_node(two: Any, cluster: str, channel: Any, queue: str) -> None:
    broker.declare_queue(channel, queue)
    two[0].freeze()
    began = time.monotonic()
    nodes = Nodes(cluster)
    for _ in range(2):
        publish_one(nodes, "tests", Publication("", queue, broker.Properties(message_id="1"), b"{}"))
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert two[0].accepted == 1
    assert channel.queue_declare(queue, passive=True).method.message_count == 2


def test_each_address_of_a_name_is_tried(
    address_of: Any, url_of: Any, channel: Any, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = address_of()
    frozen = address_of(("127.0.0.2", healthy.port))
    frozen.freeze()
    resolve = socket.getaddrinfo

    def two_addresses(host: str, *args: Any, **kwargs: Any) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "brokers.test" else [host]
        return [found for name in hosts for found in resolve(name, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    broker.declare_queue(channel, queue)
    nodes = Nodes(url_of("nowhere.invalid", f"brokers.test:{healthy.port}"))
    with broker.connected(nodes, "tests") as connection:
        connection.close()
    publish_one(nodes, "tests", Publication("", queue, broker.Properties(message_id="1"), b"{}"))
    assert (frozen.accepted, healthy.accepted) == (1, 2)


def test_where_no_node_answers_that_is_an_error(two: Any, cluster: str) -> None:
    for address in two:
        address.freeze()
    with pytest.raises(broker.Error, match="no node"):
        broker.connect(cluster, "tests")
    with pytest.raises(broker.Error, match="no node"):
        publish_one(Nodes(cluster), "tests", Publication("", "probe", broker.Properties(message_id="1"), b"{}"))
    with pytest.raises(broker.Error, match="no host"):
        broker.connect("amqp://u:p@nowhere.invalid/x", "tests")


def test_a_stopped_server_is_left_and_found_again(own_node: Any, db: Any, relay: Relay, eventually: Any) -> None:
    eventually(lambda: relay.connected)
    own_node.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: not relay.connected, within_seconds=PATIENCE_SECONDS)
    finally:
        own_node.send_signal(signal.SIGCONT)
    eventually(lambda: relay.connected, within_seconds=PATIENCE_SECONDS)
