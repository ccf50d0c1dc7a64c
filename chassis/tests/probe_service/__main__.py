"""A minimal service on which the guarantees of the chassis are tested."""

import os
import time
from datetime import datetime

from chassis.cli import Service, main
from chassis.db import Transaction
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.worker import Timer
from chassis.runtime.config import ServiceSettings


def on_probe(tx: Transaction, delivery: Delivery) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])
    time.sleep(delivery.body.get("seconds", 0))


def on_tick(tx: Transaction, now: datetime) -> None:
    tx.run("INSERT INTO effects (name) VALUES ('begin')")
    time.sleep(0.3)
    tx.run("INSERT INTO effects (name) VALUES ('end')")


QUEUE = os.environ.get("PROBE_QUEUE", "")
CONSUMERS = {QUEUE: ConsumerConfig(on_probe, in_order="PROBE_IN_ORDER" in os.environ)} if QUEUE else {}
TIMERS = {"tick": Timer(0.05, on_tick)} if "PROBE_TIMER" in os.environ else {}

if __name__ == "__main__":
    main(Service("probe", ServiceSettings, consumers=lambda _: CONSUMERS, timers=lambda _: TIMERS))
