"""Each service has a user of its own in RabbitMQ, with rights for its queues only; no container shows a secret."""

import json
import secrets
from contextlib import contextmanager
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pytest

from quintet_testing.waiting import eventually

QUEUES = ["event.append", "factory.load", "factory.production", "orders.import", "specstore.pipeline"]
REFUSED = 403


@contextmanager
def channel_of(stack, service):
    password = stack.settings[f"{service.upper()}_AMQP_PASSWORD"]
    address = urlsplit(stack.amqp_url)
    url = f"amqp://{service}:{password}@{address.hostname}:{address.port}{address.path}"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def refused(channel, step):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as error:
        step()
    return error.value.reply_code == REFUSED and "ACCESS_REFUSED" in error.value.reply_text


@pytest.mark.parametrize("queue", QUEUES)
def test_no_service_reads_or_empties_the_queue_of_another(stack, queue):
    owner = queue.partition(".")[0]
    with channel_of(stack, owner) as channel:
        channel.basic_get(f"{queue}.dead")  # its own dead letters
    for other in {"event", "factory", "orders", "sequence", "specstore"} - {owner}:
        for step in ("basic_get", "queue_purge", "queue_delete", "queue_declare"):
            with channel_of(stack, other) as channel:
                assert refused(channel, lambda channel=channel, step=step: getattr(channel, step)(queue)), (other, step)


def test_no_service_publishes_events_in_the_name_of_another(stack):
    with channel_of(stack, "orders") as channel:
        channel.confirm_delivery()
        channel.basic_publish("events", f"orders.Test{secrets.token_hex(4)}", b"{}", mandatory=False)
        assert refused(channel, lambda: channel.basic_publish("events", "sequence.SequenceWrapped", b"{}"))


def test_dead_letters_are_listed_and_put_back_by_the_service_whose_they_are(stack):
    mark = f"not JSON {secrets.token_hex(4)}"
    with channel_of(stack, "event") as channel:
        channel.basic_publish("", "event.append", mark.encode(), pika.BasicProperties(app_id="orders", message_id=mark))
    eventually(lambda: mark in stack.command("dead-letters"), within_seconds=30)
    assert stack.command("retry", "event.append")
    eventually(lambda: mark in stack.command("dead-letters"), within_seconds=30)
    with channel_of(stack, "event") as channel:
        eventually(lambda: channel.queue_purge("event.append.dead").method.message_count)


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_no_secret_is_seen_by_inspecting_a_container(stack):
    hidden = {
        name: value
        for name, value in stack.settings.items()
        if name.endswith(("_PASSWORD", "_COOKIE", "_SECRET_ACCESS_KEY")) and value
    }
    assert len(hidden) >= 4
    shown = json.dumps(stack.descriptions())
    assert [name for name, value in hidden.items() if value in shown] == []
