"""Metrics of a worker: what it does, and the state of its service in Postgres."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf, nan
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from chassis.db import Transaction
from chassis.messaging import outbox
from chassis.runtime.liveness import Liveness
from chassis.runtime.metrics import BUCKETS, Metrics

STATE_SECONDS = 5
_MAX_STATE_AGE_SECONDS = 4 * STATE_SECONDS


@dataclass(frozen=True)
class StateGauge:
    """A gauge that every worker reads from Postgres periodically, so that a scrape never waits for Postgres.

    `read` returns the value for each value of `label`; a gauge without a label has the key "".
    """

    name: str
    documentation: str
    read: Callable[[Transaction], Mapping[str, float]]
    label: str = ""


_COMMON_GAUGES = (
    StateGauge(
        "quintet_outbox_messages",
        "Messages that wait to be published",
        lambda tx: {"": outbox.backlog(tx)["backlog"]},
    ),
    StateGauge(
        "quintet_outbox_oldest_seconds",
        "Age of the oldest message that waits to be published",
        lambda tx: {"": outbox.backlog(tx)["oldest_seconds"]},
    ),
    StateGauge(
        "quintet_postgres_connections",
        "Connections to the Postgres server, of all clients",
        lambda tx: {"": tx.value("SELECT sum(numbackends) FROM pg_stat_database")},
    ),
    StateGauge(
        "quintet_postgres_max_connections",
        "Connections that the Postgres server accepts",
        lambda tx: {"": tx.value("SELECT current_setting('max_connections')::int")},
    ),
)


class _QueueStatus(Protocol):
    dead_letter_count: int
    queue_report: dict[str, float]


class WorkerMetrics(Metrics):
    def __init__(self, service: str, gauges: Sequence[StateGauge] = ()) -> None:
        super().__init__(service)
        self.message_seconds = Histogram(
            "quintet_message_duration_seconds",
            "Duration of each attempt to process a message",
            ["queue", "outcome"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.redelivered = Counter(
            "quintet_messages_redelivered_total",
            "Messages that the broker had delivered before",
            ["queue"],
            registry=self.registry,
        )
        self.relay_published = Counter(
            "quintet_relay_published_total", "Messages that the broker confirmed", registry=self.registry
        )
        self.relay_leading = Gauge(
            "quintet_relay_leading",
            "1 if the relay of this worker publishes the messages of the service",
            registry=self.registry,
        )
        self.state = _State([*_COMMON_GAUGES, *gauges])
        self.registry.register(self.state)

    def observe_connection(self, is_connected: Callable[[], bool]) -> None:
        gauge = Gauge(
            "quintet_broker_connected", "1 if all connections to RabbitMQ are established", registry=self.registry
        )
        gauge.set_function(is_connected)

    def observe_loops(self, loops: Mapping[str, Liveness]) -> None:
        gauge = Gauge(
            "quintet_worker_loop_age_seconds", "Time since the loop's last tick", ["loop"], registry=self.registry
        )
        for name, liveness in loops.items():
            gauge.labels(name).set_function(liveness.age_seconds)

    def observe_queues(self, consumers: Mapping[str, _QueueStatus]) -> None:
        messages = Gauge(
            "quintet_queue_messages",
            "Messages in the queue, also unacknowledged ones",
            ["queue"],
            registry=self.registry,
        )
        dead_letters = Gauge(
            "quintet_dead_letters", "Messages that failed permanently", ["queue"], registry=self.registry
        )
        for queue, consumer in consumers.items():
            messages.labels(queue).set_function(partial(_message_count, consumer))
            dead_letters.labels(queue).set_function(partial(_dead_letter_count, consumer))


def _message_count(queue: _QueueStatus) -> float:
    return queue.queue_report.get("messages", nan)


def _dead_letter_count(queue: _QueueStatus) -> float:
    return queue.dead_letter_count


class _State(Collector):
    """The gauges that were last read; none while Postgres has been unavailable for some time."""

    def __init__(self, gauges: Sequence[StateGauge]) -> None:
        self._gauges = gauges
        self._families: list[GaugeMetricFamily] = []
        self._read_at = -inf

    def read(self, tx: Transaction, _now: datetime) -> None:
        families = []
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.documentation, labels=[gauge.label] if gauge.label else [])
            for label, value in gauge.read(tx).items():
                family.add_metric([label] if gauge.label else [], value)
            families.append(family)
        self._families, self._read_at = families, time.monotonic()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if time.monotonic() - self._read_at < _MAX_STATE_AGE_SECONDS:
            yield from self._families
