"""Queues as they are declared."""

from typing import Any

import pytest

from chassis.messaging import broker


def test_a_queue_is_what_the_contract_says(channel: Any, queue: str) -> None:
    broker.declare_queue(channel, queue, single_active=True)
    wanted = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 30,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{queue}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    # RabbitMQ refuses a declaration that differs in any of them.
    channel.queue_declare(queue, durable=True, arguments=wanted)
    with pytest.raises(broker.Error, match="delivery-limit"):
        channel.queue_declare(queue, durable=True, arguments={**wanted, "x-delivery-limit": 29})
