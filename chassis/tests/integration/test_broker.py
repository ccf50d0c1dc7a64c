"""The declaration of queues."""

from typing import Any

import pytest

from chassis.messaging import broker


def test_queue_is_declared_as_in_the_contract(channel: Any, queue: str) -> None:
    broker.declare_queue(channel, queue, single_active=True)
    expected = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 30,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{queue}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    # RabbitMQ rejects a declaration in which any of them differs.
    channel.queue_declare(queue, durable=True, arguments=expected)
    with pytest.raises(broker.Error, match="delivery-limit"):
        channel.queue_declare(queue, durable=True, arguments={**expected, "x-delivery-limit": 29})
