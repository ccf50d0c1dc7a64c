"""The commands for dead letters on a running stack."""

import resource
import secrets

import pika
import pytest

from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

QUEUES = [
    "event.append",
    "factory.load",
    "factory.production",
    "factory.production_load",
    "orders.import",
    "orders.undo",
    "specstore.pipeline",
    "specstore.refresh",
]


def test_dead_letters_lists_every_queue_in_two_seconds_of_processor_time(stack):
    stack.wait_until_healthy()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    listed = stack.run("dead-letters")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines() == [f"{queue}: 0 dead letters" for queue in QUEUES]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_unknown_queue_is_rejected_with_the_existing_queues(stack, action):
    stack.wait_until_healthy()
    rejected = stack.run(action, "orders.unknown")
    assert rejected.returncode == 1 and rejected.stdout == ""
    assert f"QUEUE must be one of {', '.join(QUEUES)}: 'orders.unknown'" in rejected.stderr


def test_unknown_message_is_rejected_with_its_id(stack):
    stack.wait_until_healthy()
    rejected = stack.run("retry", "orders.import", "m1")
    assert rejected.returncode == 1 and "orders.import: no dead letter has the ID m1" in rejected.stderr


def test_one_dead_letter_is_listed_and_discarded_by_its_id(stack):
    stack.wait_until_healthy()
    message_id = f"m-{secrets.token_hex(4)}"
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        channel = connection.channel()
        channel.basic_publish("", "event.append", b"not JSON", pika.BasicProperties(message_id=message_id))
    eventually(lambda: message_id in stack.run("dead-letters").stdout)
    discarded = stack.run("discard", "event.append", message_id)
    assert discarded.stdout == "event.append: 1 dead letter discarded\n"
    eventually(lambda: "event.append: 0 dead letters" in stack.run("dead-letters").stdout)


def test_queues_of_a_service_without_a_worker_are_reported_as_unknown(stack):
    stack.wait_until_healthy()
    stack.stop("orders-worker")
    try:
        listed = stack.run("dead-letters")
        assert listed.returncode == 1
        assert "the queues of orders-service are unknown" in listed.stderr
        assert listed.stdout.splitlines() == [f"{queue}: 0 dead letters" for queue in QUEUES if "orders" not in queue]
        assert "the queues of orders-service are unknown" in stack.run("retry", "orders.import").stderr
    finally:
        stack.start("orders-worker")
        stack.wait_until_healthy()
