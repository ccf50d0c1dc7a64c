"""Metrics of a worker: what it does, and the state of its service in Postgres."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from chassis.db import ConnectionLost, Transaction
from chassis.messaging import outbox
from chassis.runtime import logs
from chassis.runtime.liveness import Liveness
from chassis.runtime.metrics import Metrics

log = logs.logger(__name__)

Read = Callable[[Transaction], Mapping[str, float]]

STATE_SECONDS = 15
_MAX_STATE_AGE_SECONDS = 3 * STATE_SECONDS


@dataclass(frozen=True)
class StateGauge:
    """A gauge that every worker reads from Postgres periodically, so that a scrape never waits for Postgres.

    `read` returns the value for each value of `label`; a gauge without a label has `key`. Gauges with the same `read`
    share one call.
    """

    name: str
    documentation: str
    read: Read
    label: str = ""
    key: str = ""


_COMMON_GAUGES = (
    StateGauge("outbox_messages", "Messages that wait to be published", outbox.backlog, key="backlog"),
    StateGauge(
        "outbox_oldest_seconds",
        "Age of the oldest message that waits to be published",
        outbox.backlog,
        key="oldest_seconds",
    ),
    StateGauge(
        "postgres_connections",
        "Connections to the Postgres server, of all clients",
        lambda tx: {"": tx.value("SELECT sum(numbackends) FROM pg_stat_database")},
    ),
    StateGauge(
        "postgres_max_connections",
        "Connections that the Postgres server accepts",
        lambda tx: {"": tx.value("SELECT current_setting('max_connections')::int")},
    ),
)


class WorkerMetrics(Metrics):
    """`of_service` are the metrics of the service itself, which its jobs receive in their context."""

    def __init__(
        self,
        service: str,
        gauges: Sequence[StateGauge] = (),
        create_metrics_of_service: Callable[[Metrics], Any] = lambda _metrics: None,
    ) -> None:
        super().__init__(service)
        self.of_service = create_metrics_of_service(self)
        self.message_seconds = self.histogram(
            "message_duration_seconds", "Duration of each attempt to process a message", ["queue", "outcome"]
        )
        self.redelivered = self.counter(
            "messages_redelivered_total", "Messages that the broker had delivered before", ["queue"]
        )
        self.relay_published = self.counter("relay_published_total", "Messages that the broker confirmed")
        self.relay_leading = self.gauge("relay_leading", "1 if the relay of this worker publishes, 0 on standby")
        self.queue_messages = self.gauge(
            "queue_messages", "Messages in the queue, those that are being processed excluded", ["queue"]
        )
        self.dead_letters = self.gauge("dead_letters", "Messages that failed permanently", ["queue"])
        self.state = _State([*_COMMON_GAUGES, *gauges])
        self.registry.register(self.state)

    def observe_worker(self, is_connected: Callable[[], bool], loops: Mapping[str, Liveness]) -> None:
        """Evaluate the connection to RabbitMQ and the ages of the loops at each scrape."""
        connected = self.gauge("broker_connected", "1 if all connections to RabbitMQ are established")
        connected.set_function(is_connected)
        ages = self.gauge("worker_loop_age_seconds", "Time since the last tick of the loop", ["loop"])
        for name, liveness in loops.items():
            ages.labels(name).set_function(liveness.age_seconds)


class _State(Collector):
    """The gauges that were last read; none while Postgres has been unavailable for some time."""

    def __init__(self, gauges: Sequence[StateGauge]) -> None:
        self._gauges = gauges
        self._families: list[GaugeMetricFamily] = []
        self._read_at = -inf

    def read(self, tx: Transaction, _now: datetime) -> None:
        values = {read: _read_alone(tx, read) for read in {gauge.read for gauge in self._gauges}}
        self._families = [_family(gauge, values[gauge.read]) for gauge in self._gauges]
        self._read_at = time.monotonic()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if time.monotonic() - self._read_at < _MAX_STATE_AGE_SECONDS:
            yield from self._families


def _read_alone(tx: Transaction, read: Read) -> Mapping[str, float]:
    """Return the values, or none if they cannot be read, which must not hide the other gauges."""
    tx.run("SAVEPOINT before_read")
    try:
        return read(tx)
    except ConnectionLost:
        raise
    except Exception:
        log.warning("worker.gauge_failed", exc_info=True)
        tx.run("ROLLBACK TO SAVEPOINT before_read")
        return {}


def _family(gauge: StateGauge, values: Mapping[str, float]) -> GaugeMetricFamily:
    labels = [gauge.label] if gauge.label else []
    family = GaugeMetricFamily(f"quintet_{gauge.name}", gauge.documentation, labels=labels)
    for name, value in values.items():
        if gauge.label or name == gauge.key:
            family.add_metric([name] if gauge.label else [], value)
    return family
