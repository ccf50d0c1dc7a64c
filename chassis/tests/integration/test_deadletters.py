"""Dead letters: which messages are dead-lettered, with which reason, and how they are requeued and discarded."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.messaging import broker, deadletters
from chassis.messaging.message_processor import Delivery

Consume = Callable[..., Any]


def record_effect(tx: Transaction, delivery: Delivery) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


@pytest.mark.slow
def test_requeued_dead_letter_has_five_attempts_again(
    consume: Consume, publish: Any, queue: str, next_dead_letter: Any, node: Any, eventually: Any, short_delays: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    calls = []

    def fail(_tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        raise RuntimeError("failed")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-8")

    def output() -> str:
        """Return what is shown, or nothing while the dead letter has not arrived or returned to its queue."""
        deadletters.show(node.url, [queue])
        text = capsys.readouterr().out
        return text if f"{queue}: 1 dead letter" in text else ""

    shown = eventually(output)
    assert f"{message_id}  request r-8  RuntimeError('failed')" in shown
    assert '{"name": "bad"}' in shown
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


def test_unknown_queue_has_no_dead_letters(
    node: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URL", node.url)
    assert deadletters.main(["list", "unknown.queue"]) == 0
    assert capsys.readouterr().out == "unknown.queue: 0 dead letters\n"
    assert deadletters.main(["retry", "unknown.queue"]) == 0
    assert deadletters.main(["discard", "unknown.queue", "m1"]) == 1


def test_missing_broker_url_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    with pytest.raises(SystemExit) as caught:
        deadletters.main(["list"])
    assert caught.value.code == 2
    assert "AMQP_URL is required" in capsys.readouterr().err


def test_showing_dead_letters_never_loses_them(
    publish: Any, queue: str, channel: Any, node: Any, next_dead_letter: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    for _ in range(40):
        deadletters.show(node.url, [queue])
    assert next_dead_letter()[1] == b"{}"


def test_missing_queue_is_reported_and_its_dead_letters_stay(
    publish: Any, queue: str, channel: Any, node: Any, next_dead_letter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    channel.queue_delete(queue)
    monkeypatch.setenv("AMQP_URL", node.url)
    with pytest.raises(SystemExit, match="does the queue exist"):
        deadletters.main(["retry", queue])
    assert next_dead_letter()[1] == b"{}"


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
