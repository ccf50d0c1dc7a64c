"""Dead letters: which messages are dead-lettered, with which reason, and how they are requeued and discarded."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.db import Database, Transaction
from chassis.errors import Invalid
from chassis.messaging import broker, deadletters
from chassis.messaging.delivery import Delivery
from quintet_testing.postgres import free_port

Consume = Callable[..., Any]


def record_effect(tx: Transaction, delivery: Delivery) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


@pytest.mark.slow
def test_requeued_dead_letter_has_five_attempts_again(
    consume: Consume, publish: Any, queue: str, next_dead_letter: Any, node: Any, eventually: Any, short_delays: None,
) -> None:  # fmt: skip
    calls = []

    def fail(_tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        raise RuntimeError("failed")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-8")

    (letter,) = eventually(lambda: deadletters.list_first(node.url, queue))
    assert (letter["id"], letter["request_id"], letter["reason"]) == (message_id, "r-8", "RuntimeError('failed')")
    assert (letter["body"], letter["size_bytes"]) == ('{"name": "bad"}', 15)
    assert datetime.now(UTC) - datetime.fromisoformat(letter["dead_at"]) < timedelta(minutes=5)
    eventually(lambda: deadletters.requeue(node.url, queue) == 1)
    eventually(lambda: len(calls) == 10)
    properties, _ = next_dead_letter()
    assert len(calls) == 10
    assert properties.message_id == message_id
    assert not any(name.startswith("x-reason") for name in calls[-1].headers)


@pytest.fixture
def count_messages(publish: Any, queue: str, channel: Any) -> Callable[[str], int]:
    """Publish two dead letters, and return a function that returns the number of messages in a queue."""
    broker.declare_queue(channel, queue)
    for body in (b"1", b"2"):
        publish(broker.dead_letter_queue(queue), body, message_id=f"m{body.decode()}", headers={"x-reason": "r"})

    def count(name: str) -> int:
        return int(channel.queue_declare(name, passive=True).method.message_count)

    return count


def test_one_dead_letter_is_requeued_without_its_reason(
    count_messages: Callable[[str], int], queue: str, channel: Any, node: Any, eventually: Any
) -> None:
    assert deadletters.requeue(node.url, queue, "m2") == 1
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 1)
    _, properties, body = channel.basic_get(queue, auto_ack=True)
    assert (properties.message_id, body) == ("m2", b"2")
    assert "x-reason" not in properties.headers


def test_one_or_all_dead_letters_are_discarded(
    count_messages: Callable[[str], int], queue: str, node: Any, eventually: Any
) -> None:
    assert deadletters.discard(node.url, queue, "unknown") == 0
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 2)
    assert deadletters.discard(node.url, queue, "m1") == 1
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 1)
    assert deadletters.discard(node.url, queue) == 1
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 0)
    assert count_messages(queue) == 0


def test_search_for_a_dead_letter_ends_with_the_first_that_has_its_id(
    count_messages: Callable[[str], int], publish: Any, queue: str, node: Any, eventually: Any
) -> None:
    publish(broker.dead_letter_queue(queue), b"3", message_id="m2")
    assert deadletters.discard(node.url, queue, "m2") == 1
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 2)
    assert {letter["body"] for letter in deadletters.list_first(node.url, queue)} == {"1", "3"}


def test_dead_letter_that_is_not_found_in_time_is_not_reported_as_missing(
    count_messages: Callable[[str], int], queue: str, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "_MAX_SECONDS", 0)
    with pytest.raises(TimeoutError):
        deadletters.requeue(node.url, queue, "m2")
    assert deadletters.requeue(node.url, queue) == 0


def test_large_dead_letters_are_truncated_and_100_are_listed(publish: Any, queue: str, channel: Any, node: Any) -> None:
    broker.declare_queue(channel, queue)
    for _ in range(101):
        publish(broker.dead_letter_queue(queue), b"\xff" + 20_000 * b"x")
    letters = deadletters.list_first(node.url, queue)
    assert len(letters) == 100
    assert (len(letters[0]["body"]), letters[0]["size_bytes"], letters[0]["dead_at"]) == (10_000, 20_001, None)


def test_listing_dead_letters_never_loses_them(
    publish: Any, queue: str, channel: Any, node: Any, next_dead_letter: Any, eventually: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    for _ in range(40):
        # RabbitMQ returns it to the queue shortly after the connection has ended.
        assert eventually(lambda: deadletters.list_first(node.url, queue))[0]["body"] == "{}"
    assert next_dead_letter()[1] == b"{}"


def test_dead_letters_of_a_missing_queue_stay(
    publish: Any, queue: str, channel: Any, node: Any, next_dead_letter: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    channel.queue_delete(queue)
    with pytest.raises(broker.Error):
        deadletters.requeue(node.url, queue)
    assert next_dead_letter()[1] == b"{}"


@pytest.fixture
def request_action(db: Database, node: Any) -> Callable[..., Any]:
    """Return a function that requests an action like a web process, and performs it like the worker."""

    def request(action: str, queue: str, message_id: str | None = None, url: str = node.url) -> Any:
        with db.transaction() as tx:
            tx.run(
                "INSERT INTO dead_letter_requests (action, queue, message_id) VALUES (%(action)s, %(queue)s, %(id)s)",
                action=action,
                queue=queue,
                id=message_id,
            )
        with db.transaction() as tx:
            assert deadletters.perform_next(tx, url)
            assert not deadletters.perform_next(tx, url)
            row = tx.find("SELECT result FROM dead_letter_requests ORDER BY requested_at DESC LIMIT 1")
            return json.loads(row["result"]) if row else None

    return request


def test_requests_are_performed_once(
    request_action: Callable[..., Any], count_messages: Callable[[str], int], queue: str, eventually: Any
) -> None:
    assert [letter["id"] for letter in request_action("list", queue)["result"]] == ["m1", "m2"]
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 2)
    assert request_action("retry", queue, "m2") == {"result": 1}
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 1)
    assert request_action("discard", queue) == {"result": 1}
    assert request_action("retry", queue, "m2") == {"result": 0}
    eventually(lambda: count_messages(broker.dead_letter_queue(queue)) == 0)
    assert count_messages(queue) == 1


def test_unreachable_broker_is_the_result(request_action: Callable[..., Any], queue: str) -> None:
    result = request_action("retry", queue, url=f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F")
    assert "RabbitMQ reports" in result["error"]


def test_request_for_which_no_caller_waits_anymore_is_not_performed(db: Database, node: Any, queue: str) -> None:
    with db.transaction() as tx:
        tx.run(
            "INSERT INTO dead_letter_requests (action, queue, requested_at)"
            " VALUES ('discard', 'q', now() - interval '11 seconds')"
        )
        assert not deadletters.perform_next(tx, node.url)


def test_invalid_message_is_dead_lettered_immediately(
    consume: Consume, publish: Any, queue: str, next_dead_letter: Any
) -> None:
    calls = []

    def reject(_tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        raise Invalid("name: must be shorter")

    consume(reject)
    publish(queue, b'{"name": "bad"}')
    assert next_dead_letter()[0].headers["x-reason"] == "name: must be shorter"
    assert len(calls) == 1


UNPARSABLE: list[tuple[bytes, dict[str, Any]]] = [
    (b"not JSON", {}),
    (b"\xff\x00", {}),
    (b"[" * 100_000, {}),
    (b"x" * 10_000_000, {}),
    (b'{"name": "x"}', {"message_id": None}),
    (b'{"name": "x"}', {"message_id": "not a UUID"}),
    (b"not JSON", {"headers": {"a": [1, None, {"b": True}], "c": -(2**40), "d": b"\xff", "e": {}}}),
]


@pytest.mark.parametrize(
    ("body", "properties"),
    UNPARSABLE,
    ids=["text", "binary", "too deep", "10 MB", "no message ID", "invalid message ID", "unusual headers"],
)
def test_unparsable_message_is_dead_lettered_immediately_with_the_reason(
    body: bytes,
    properties: dict[str, Any],
    consume: Consume,
    publish: Any,
    queue: str,
    next_dead_letter: Any,
    effects: Any,
) -> None:
    consume(record_effect)
    publish(queue, body, **properties)
    publish(queue, b'{"name": "next"}')
    dead_properties, dead_body = next_dead_letter()
    assert dead_body == body
    assert dead_properties.headers["x-reason"]
    assert set(properties.get("headers", {})) <= set(dead_properties.headers)
    assert "x" not in effects()


def test_broker_dead_letters_a_message_after_thirty_requeues(
    publish: Any, queue: str, channel: Any, next_dead_letter: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(queue, b"{}")
    for number, (method, _, _) in enumerate(channel.consume(queue, inactivity_timeout=60)):
        assert method, f"no delivery after {number}"
        channel.basic_nack(method.delivery_tag, requeue=True)
        if number == broker.MAX_DELIVERIES:
            break
    channel.cancel()
    assert next_dead_letter()[0].headers["x-first-death-reason"] == "delivery_limit"
