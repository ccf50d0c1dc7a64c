"""Consumption of one queue: handlers run in threads, and a message is acknowledged after its effect is committed."""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from chassis.db import Database
from chassis.messaging import broker
from chassis.messaging.broker import BlockingConnection, Channel, Deliver, Properties
from chassis.messaging.message_processor import Handler, Interrupted, JobContext, MessageProcessor
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import AmqpMessage, publish
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime import logs, tracing
from chassis.runtime.config import ServiceSettings
from chassis.runtime.liveness import Liveness

log = logs.logger(__name__)

Settle = Callable[[], None]

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.2, 2.0
# A connection that lasted this long was stable: detecting that a node no longer responds takes longer, and then the
# next node must be tried without a long delay.
_STABLE_SECONDS = 5
_DRAIN_SECONDS = 20
_DEAD_LETTER_CHECK_SECONDS = 5


@dataclass(frozen=True)
class ConsumerConfig:
    """The consumption of a queue: its handler, the keys of the exchange `events` that it is bound to, and its order.

    `in_order` means one message at a time across all workers; a message that is retried delays those after it.
    `is_long_running` means that the handler receives a JobContext instead of a transaction.
    """

    handler: Handler
    bindings: tuple[str, ...] = ()
    in_order: bool = False
    is_long_running: bool = False


class Consumer:
    """Consumes a queue in a dedicated thread, on a dedicated connection, and reconnects by itself."""

    def __init__(
        self,
        service: str,
        queue: str,
        config: ConsumerConfig,
        database: Database,
        amqp_url: str,
        stop_event: Event,
        threads: int,
        settings: ServiceSettings,
        metrics: WorkerMetrics,
    ) -> None:
        self._name, self._queue, self._config = f"{service}-worker {queue}", queue, config
        self._nodes, self._stop_event = Nodes(amqp_url), stop_event
        self._threads = 1 if config.in_order else threads
        job_context = JobContext(database, settings, stop_event, metrics.of_service) if config.is_long_running else None
        self._processor = MessageProcessor(queue, config.handler, database, metrics.message_seconds, job_context)
        self._redelivered = metrics.redelivered.labels(queue)
        self._queue_messages, self._dead_letters = (
            metrics.queue_messages.labels(queue),
            metrics.dead_letters.labels(queue),
        )
        self._connection: BlockingConnection
        self._pool = ThreadPoolExecutor()
        # Set once the messages of the current connection must not be attempted again.
        self._cancel_event = Event()
        self._unsettled_count = 0
        self.liveness = Liveness()
        self.is_connected = False
        self.dead_letter_count = 0
        self._handled_count = 0
        self.queue_report: dict[str, float] = {}

    def run(self) -> None:
        retry_seconds = _MIN_RETRY_SECONDS
        while not self._stop_event.is_set():
            self.liveness.tick()
            started_at = time.monotonic()
            try:
                with broker.connected(self._nodes, self._name) as self._connection:
                    self.liveness.tick()
                    self._consume()
            except (broker.Error, OSError) as error:
                log.warning("consumer.disconnected", queue=self._queue, reason=repr(error))
            except Exception:
                log.exception("consumer.failed", queue=self._queue)
            self.is_connected = False
            is_stable = time.monotonic() - started_at > _STABLE_SECONDS
            retry_seconds = _MIN_RETRY_SECONDS if is_stable else min(retry_seconds * 2, _MAX_RETRY_SECONDS)
            self._stop_event.wait(retry_seconds)

    def _consume(self) -> None:
        # Messages received on this connection are settled on it or not at all: the broker will redeliver them.
        self._cancel_event = Event()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._queue)
        self._unsettled_count = 0
        try:
            # While a queue has no leader, each of these requests may wait for a minute.
            with self.liveness.suspended():
                channel = self._connection.channel()
                broker.declare_queue(channel, self._queue, self._config.bindings, single_active=self._config.in_order)
                # A long-running job that was prefetched would wait here while another worker is idle.
                prefetch_count = self._threads if self._config.is_long_running else max(2 * self._threads, 20)
                channel.basic_qos(prefetch_count=prefetch_count)
                channel.basic_consume(self._queue, self._on_message)
            self.is_connected = True
            log.info("consumer.connected", queue=self._queue)
            self._process_until_stopped(channel)
            self._cancel_event.set()
            self._drain()
        finally:
            self._cancel_event.set()
            if self._connection.is_open:
                with self.liveness.suspended():
                    self._close_connection()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _close_connection(self) -> None:
        if self._config.in_order:
            broker.close_gracefully(self._connection)
        else:
            self._connection.close()

    def _process_until_stopped(self, channel: Channel) -> None:
        checked_at = 0.0
        while not self._stop_event.is_set():
            self.liveness.tick()
            self._connection.process_data_events(1.0)
            if time.monotonic() - checked_at > _DEAD_LETTER_CHECK_SECONDS:
                seconds, checked_at = time.monotonic() - checked_at, time.monotonic()
                with self.liveness.suspended():
                    queue = channel.queue_declare(self._queue, passive=True).method
                    dead_queue = channel.queue_declare(broker.dead_letter_queue(self._queue), passive=True).method
                self.dead_letter_count = dead_queue.message_count
                self._queue_messages.set(queue.message_count)
                self._dead_letters.set(dead_queue.message_count)
                handled_count, self._handled_count = self._handled_count, 0
                self.queue_report = {
                    "messages": queue.message_count,
                    "consumers": queue.consumer_count,
                    "handled_per_second": round(handled_count / seconds, 2),
                }

    def _drain(self) -> None:
        """Let running handlers finish; the broker requeues all other messages when the connection ends."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._unsettled_count and time.monotonic() < deadline:
            self._connection.process_data_events(0.1)

    def _on_message(self, channel: Channel, method: Deliver, properties: Properties, body: bytes) -> None:
        self._unsettled_count += 1
        if method.redelivered:
            self._redelivered.inc()
        acknowledge = functools.partial(self._acknowledge, channel, method.delivery_tag)
        self._pool.submit(self._handle, self._connection, self._cancel_event, acknowledge, properties, body)

    def _handle(
        self, connection: BlockingConnection, cancel_event: Event, settle: Settle, properties: Properties, body: bytes
    ) -> None:
        """Process a message in a thread of the pool, which may use the connection only to schedule a callback."""
        traceparent = (properties.headers or {}).get(tracing.HEADER)
        attributes = {"messaging.system": "rabbitmq", "messaging.message.id": properties.message_id or ""}
        with (
            logs.bound(request_id=properties.correlation_id or "", message_id=properties.message_id or ""),
            tracing.entry_span("CONSUMER", f"handle {self._queue}", traceparent, attributes),
        ):
            try:
                if reason := self._processor.run(properties, body, cancel_event):
                    attributes["error.type"] = "dead_lettered"
                    self._dead_letter(properties, body, reason)
            except Interrupted:
                settle = self._leave_unacknowledged
            except BaseException:
                attributes["error.type"] = "processing_failed"
                log.exception("message.processing_failed", queue=self._queue)
                settle = self._abort_connection
            try:
                connection.add_callback_threadsafe(settle)
            except broker.Error as error:
                log.warning("message.not_settled", queue=self._queue, reason=repr(error))

    def _dead_letter(self, properties: Properties, body: bytes, reason: str) -> None:
        # pika cannot encode every header value that it decodes, for example a float.
        headers = (properties.headers or {}).items()
        encodable = {name: value if isinstance(value, str | int) else repr(value) for name, value in headers}
        added = {"x-reason": reason, "x-queue": self._queue, "x-dead-at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
        properties.headers = encodable | added
        publish(self._nodes, self._name, AmqpMessage("", broker.dead_letter_queue(self._queue), properties, body))

    def _acknowledge(self, channel: Channel, delivery_tag: int) -> None:
        """Acknowledge a message, unless its channel was closed: then the broker has requeued the message.

        Only the thread that runs the connection calls this method and the two below.
        """
        self._unsettled_count -= 1
        self._handled_count += 1
        if channel.is_open:
            channel.basic_ack(delivery_tag)

    def _leave_unacknowledged(self) -> None:
        self._unsettled_count -= 1

    def _abort_connection(self) -> None:
        raise RuntimeError("a message could be neither processed nor dead-lettered")
