"""What is given up, why, and how it comes back."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.errors import Invalid
from chassis.messaging import broker, deadletters

Consume = Callable[..., Any]


def note(tx: Any, delivery: Any) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


def test_a_dead_letter_put_back_has_five_tries_again(
    consume: Consume, publish: Any, queue: str, dead: Any, node: Any, eventually: Any, short_pauses: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    calls = []

    def fail(_tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        raise RuntimeError("no luck")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-8")

    def shown() -> str:
        deadletters.show(node.url, [queue])
        return capsys.readouterr().out

    eventually(lambda: f"{queue}: 1 dead letters" in shown())
    assert f"{message_id}  request r-8  RuntimeError('no luck')" in shown()
    assert '{"name": "bad"}' in shown()
    deadletters.requeue(node.url, queue)
    eventually(lambda: len(calls) == 10)
    properties, _ = dead()
    assert len(calls) == 10
    assert properties.message_id == message_id
    assert not any(name.startswith("x-reason") for name in calls[-1].headers)


@pytest.fixture
def dead_letters(publish: Any, queue: str, channel: Any) -> Any:
    """Two dead letters; call it for the bodies that are still there."""
    broker.declare_queue(channel, queue)
    for body in (b"1", b"2"):
        publish(broker.dead_letter_queue(queue), body, message_id=f"m{body.decode()}", headers={"x-reason": "r"})

    def remaining(name: str) -> int:
        return int(channel.queue_declare(name, passive=True).method.message_count)

    return remaining


def test_one_dead_letter_is_requeued_without_its_reason_and_the_other_stays(
    dead_letters: Any, queue: str, channel: Any, node: Any, eventually: Any
) -> None:
    assert deadletters.requeue(node.url, queue, "m2") == 1
    eventually(lambda: dead_letters(broker.dead_letter_queue(queue)) == 1)
    _, properties, body = channel.basic_get(queue, auto_ack=True)
    assert (properties.message_id, body) == ("m2", b"2")
    assert "x-reason" not in properties.headers


def test_dead_letters_are_discarded_one_or_all(dead_letters: Any, queue: str, node: Any, eventually: Any) -> None:
    assert deadletters.discard(node.url, queue, "unknown") == 0
    assert deadletters.discard(node.url, queue, "m1") == 1
    eventually(lambda: dead_letters(broker.dead_letter_queue(queue)) == 1)
    assert deadletters.discard(node.url, queue) == 1
    eventually(lambda: dead_letters(broker.dead_letter_queue(queue)) == 0)
    assert dead_letters(queue) == 0


def test_queue_without_dead_letters_and_unknown_queue_are_listed_as_empty(
    node: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URL", node.url)
    assert deadletters.main(["list", "unknown.queue"]) == 0
    assert capsys.readouterr().out == "unknown.queue: 0 dead letters\n"
    assert deadletters.main(["retry", "unknown.queue"]) == 0
    assert deadletters.main(["discard", "unknown.queue", "m1"]) == 1


def test_looking_at_dead_letters_never_loses_them(publish: Any, queue: str, channel: Any, node: Any) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    for _ in range(40):
        deadletters.show(node.url, [queue])
    assert channel.basic_get(broker.dead_letter_queue(queue))[0]


def test_a_message_that_breaks_a_rule_is_dead_at_once(consume: Consume, publish: Any, queue: str, dead: Any) -> None:
    calls = []

    def refuse(_tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        raise Invalid("name: must be shorter")

    consume(refuse)
    publish(queue, b'{"name": "bad"}')
    assert dead()[0].headers["x-reason"] == "name: must be shorter"
    assert len(calls) == 1


NOT_UNDERSTOOD: list[tuple[bytes, dict[str, Any]]] = [
    (b"not JSON", {}),
    (b"\xff\x00", {}),
    (b"[" * 100_000, {}),
    (b"x" * 10_000_000, {}),
    (b'{"name": "x"}', {"message_id": None}),
    (b'{"name": "x"}', {"message_id": "no uuid"}),
    (b"no", {"headers": {"a": [1, None, {"b": True}], "c": -(2**40), "d": b"\xff", "e": {}}}),
]


@pytest.mark.parametrize(("body", "given"), NOT_UNDERSTOOD)
def test_a_message_that_nobody_can_understand_is_dead_at_once_with_the_reason(
    body: bytes, given: dict[str, Any], consume: Consume, publish: Any, queue: str, dead: Any, effects: Any
) -> None:
    consume(note)
    publish(queue, body, **given)
    publish(queue, b'{"name": "behind"}')
    properties, found = dead()
    assert found == body
    assert properties.headers["x-reason"]
    assert set(given.get("headers", {})) <= set(properties.headers)
    assert "x" not in effects()


def test_the_broker_gives_up_a_message_that_came_back_thirty_times(
    publish: Any, queue: str, channel: Any, dead: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(queue, b"{}")
    deliveries = 0
    for method, _, _ in channel.consume(queue, inactivity_timeout=1):
        if method is None:
            break
        deliveries += 1
        channel.basic_nack(method.delivery_tag, requeue=True)
    channel.cancel()
    assert deliveries == broker.MOST_DELIVERIES + 1
    assert dead()[0].headers["x-first-death-reason"] == "delivery_limit"
