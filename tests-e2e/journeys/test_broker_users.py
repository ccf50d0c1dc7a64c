"""Each service has its own user in RabbitMQ with permissions for its queues only, and no container exposes a secret."""

import json
import secrets
from contextlib import contextmanager
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pytest

from quintet_testing.waiting import eventually

QUEUES = [
    "event.append",
    "factory.load",
    "factory.production",
    "factory.production_load",
    "orders.import",
    "specstore.pipeline",
]
ACCESS_REFUSED = 403


@contextmanager
def channel_of(stack, service):
    password = stack.settings[f"{service.upper()}_AMQP_PASSWORD"]
    address = urlsplit(stack.amqp_url)
    url = f"amqp://{service}:{password}@{address.hostname}:{address.port}{address.path}"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def is_rejected(operation):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as error:
        operation()
    return error.value.reply_code == ACCESS_REFUSED and "ACCESS_REFUSED" in error.value.reply_text


@pytest.mark.slow
@pytest.mark.parametrize("queue", QUEUES)
def test_service_cannot_read_purge_or_delete_queue_of_another_service(stack, queue):
    owner = queue.partition(".")[0]
    with channel_of(stack, owner) as channel:
        channel.basic_get(f"{queue}.dead")  # a service may read its own dead letters
    for other in {"event", "factory", "orders", "sequence", "specstore"} - {owner}:
        for name in ("basic_get", "queue_purge", "queue_delete", "queue_declare"):
            with channel_of(stack, other) as channel:
                operation = getattr(channel, name)
                assert is_rejected(lambda operation=operation: operation(queue)), (other, name)


def test_service_cannot_publish_events_of_another_service(stack):
    with channel_of(stack, "orders") as channel:
        channel.confirm_delivery()
        channel.basic_publish("events", f"orders.Test{secrets.token_hex(4)}", b"{}", mandatory=False)
        assert is_rejected(lambda: channel.basic_publish("events", "sequence.SequenceWrapped", b"{}"))


@pytest.mark.slow
@pytest.mark.parametrize("service", ["event", "orders"])
def test_service_cannot_declare_or_delete_exchange_of_events(stack, service):
    with channel_of(stack, service) as channel:
        assert is_rejected(lambda: channel.exchange_delete("events"))
    with channel_of(stack, service) as channel:
        assert is_rejected(lambda: channel.exchange_declare("events", "topic", durable=True))


@pytest.mark.slow
def test_dead_letters_are_listed_and_requeued_by_their_service(stack):
    text = f"not JSON {secrets.token_hex(4)}"
    with channel_of(stack, "event") as channel:
        channel.basic_publish("", "event.append", text.encode(), pika.BasicProperties(app_id="orders", message_id=text))
    eventually(lambda: text in stack.run_command("dead-letters"))
    assert stack.run_command("retry", "event.append")
    eventually(lambda: text in stack.run_command("dead-letters"))
    with channel_of(stack, "event") as channel:
        eventually(lambda: channel.queue_purge("event.append.dead").method.message_count)


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_inspecting_containers_shows_no_secret(stack):
    secret_values = {
        name: value
        for name, value in stack.settings.items()
        if name.endswith(("_PASSWORD", "_COOKIE", "_SECRET_ACCESS_KEY")) and value
    }
    assert len(secret_values) >= 4
    description = json.dumps(stack.inspect_containers())
    assert [name for name, value in secret_values.items() if value in description] == []
