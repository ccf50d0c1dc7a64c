"""A node of RabbitMQ that stops responding is abandoned for the next address, and not tried first again."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.db import Database, Transaction
from chassis.messaging import broker, outbox
from chassis.messaging.consumer import Consumer, ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import AmqpMessage
from chassis.messaging.publisher import publish as publish_one
from chassis.messaging.relay import Relay
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime import liveness
from chassis.runtime.config import ServiceSettings

pytestmark = pytest.mark.fault

# 15 s until a frozen node is abandoned, 3 s until the next is tried, and a margin. Without timeouts it took 70 s.
TIMEOUT_SECONDS = 50


def record_effect(tx: Transaction, delivery: Delivery) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


@pytest.fixture
def addresses(create_address: Any) -> tuple[Any, Any]:
    return create_address(), create_address()


@pytest.fixture
def cluster(addresses: Any, cluster_url: Any) -> str:
    return cluster_url(*(f"127.0.0.1:{address.port}" for address in addresses))


@pytest.fixture
def relay(settings: ServiceSettings, cluster: str, start_in_thread: Any) -> Relay:
    return start_in_thread(
        lambda stop_event: Relay("probe", settings.database_url, cluster, stop_event, WorkerMetrics("probe"))
    )


@pytest.fixture
def start_in_thread() -> Iterator[Callable[..., Any]]:
    stop_event, threads = threading.Event(), []

    def start(create: Callable[[threading.Event], Any]) -> Any:
        runner = create(stop_event)
        threads.append(threading.Thread(target=runner.run))
        threads[-1].start()
        return runner

    yield start
    stop_event.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_consumer_abandons_a_frozen_node(
    consume: Any, publish: Any, queue: str, addresses: Any, cluster: str, effects: Any, eventually: Any
) -> None:
    first, second = addresses
    consume(record_effect, url=cluster)
    assert (first.accepted, second.accepted) == (1, 0)
    first.freeze()
    publish(queue, b'{"name": "after"}')
    eventually(lambda: effects() == ["after"], within_seconds=TIMEOUT_SECONDS)
    assert (first.accepted, second.accepted) == (1, 1)


def test_consumer_that_waits_for_a_frozen_node_is_not_stuck(
    start_in_thread: Any,
    settings: ServiceSettings,
    db: Database,
    queue: str,
    addresses: Any,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Any,
) -> None:
    """A queue without a leader delays a response in the same way, for longer."""
    monkeypatch.setattr(liveness, "MAX_AGE_SECONDS", 4)
    config = ConsumerConfig(record_effect)
    consumer = start_in_thread(
        lambda stop_event: Consumer(
            "probe", queue, config, db, cluster, stop_event, 1, settings, WorkerMetrics("probe")
        )
    )
    eventually(lambda: consumer.is_connected)
    addresses[0].freeze()
    eventually(lambda: consumer.liveness.age_seconds() > 5, within_seconds=TIMEOUT_SECONDS)
    assert not consumer.liveness.is_stuck
    eventually(lambda: consumer.liveness.age_seconds() < 4, within_seconds=TIMEOUT_SECONDS)


def test_idle_relay_abandons_a_frozen_node(relay: Relay, addresses: Any, eventually: Any) -> None:
    first, second = addresses
    eventually(lambda: relay.is_connected)
    first.freeze()
    eventually(lambda: second.accepted == 1, within_seconds=TIMEOUT_SECONDS)
    assert first.accepted == 1


def test_relay_abandons_a_node_that_freezes_while_it_publishes(
    relay: Relay, addresses: Any, db: Database, channel: Any, queue: str, eventually: Any
) -> None:
    broker.declare_queue(channel, queue)
    eventually(lambda: relay.is_connected)
    addresses[0].freeze()
    with db.transaction() as tx:
        outbox.add_all(tx, [outbox.job(queue, {"n": number}, request_id="r-1") for number in range(100)])

    def is_published() -> bool:
        return bool(channel.queue_declare(queue, passive=True).method.message_count == 100)

    eventually(is_published, within_seconds=TIMEOUT_SECONDS)


def test_first_connection_skips_a_frozen_node(addresses: Any, cluster: str) -> None:
    addresses[0].freeze()
    started_at = time.monotonic()
    broker.connect(cluster, "tests").close()
    assert time.monotonic() - started_at < TIMEOUT_SECONDS


def test_single_message_skips_a_frozen_node(addresses: Any, cluster: str, channel: Any, queue: str) -> None:
    broker.declare_queue(channel, queue)
    addresses[0].freeze()
    started_at = time.monotonic()
    nodes = Nodes(cluster)
    for _ in range(2):
        publish_one(nodes, "tests", AmqpMessage("", queue, broker.Properties(message_id="1"), b"{}"))
    assert time.monotonic() - started_at < TIMEOUT_SECONDS
    assert addresses[0].accepted == 1
    assert channel.queue_declare(queue, passive=True).method.message_count == 2


def test_every_address_of_a_host_name_is_tried(
    create_address: Any, cluster_url: Any, channel: Any, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = create_address()
    frozen = create_address(("127.0.0.2", healthy.port))
    frozen.freeze()
    resolve = socket.getaddrinfo

    def two_addresses(host: str, *args: Any, **kwargs: Any) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "brokers.test" else [host]
        return [address for name in hosts for address in resolve(name, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    broker.declare_queue(channel, queue)
    nodes = Nodes(cluster_url("nowhere.invalid", f"brokers.test:{healthy.port}"))
    with broker.connected(nodes, "tests") as connection:
        connection.close()
    publish_one(nodes, "tests", AmqpMessage("", queue, broker.Properties(message_id="1"), b"{}"))
    assert (frozen.accepted, healthy.accepted) == (1, 2)


def test_raises_error_if_no_node_responds(addresses: Any, cluster: str) -> None:
    for address in addresses:
        address.freeze()
    with pytest.raises(broker.Error, match="no node"):
        broker.connect(cluster, "tests")
    with pytest.raises(broker.Error, match="no node"):
        publish_one(Nodes(cluster), "tests", AmqpMessage("", "probe", broker.Properties(message_id="1"), b"{}"))
    with pytest.raises(broker.Error, match="no host"):
        broker.connect("amqp://u:p@nowhere.invalid/x", "tests")


def test_relay_reconnects_to_a_server_that_was_suspended(
    private_node: Any, db: Database, relay: Relay, eventually: Any
) -> None:
    eventually(lambda: relay.is_connected)
    private_node.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: not relay.is_connected, within_seconds=TIMEOUT_SECONDS)
    finally:
        private_node.send_signal(signal.SIGCONT)
    eventually(lambda: relay.is_connected, within_seconds=TIMEOUT_SECONDS)
