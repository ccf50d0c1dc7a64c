"""Consumption of one queue: handlers run in threads, and a message is acknowledged after its effect is committed."""

import functools
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from chassis.db import Database
from chassis.messaging import broker, deadletters
from chassis.messaging.broker import BlockingConnection, Channel, Deliver, Properties
from chassis.messaging.delivery import Received, handling
from chassis.messaging.message_processor import Handler, Interrupted, JobContext, MessageProcessor
from chassis.messaging.nodes import Nodes
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings
from chassis.runtime.liveness import Liveness

log = logs.logger(__name__)

Settle = Callable[[], None]
Waiting = deque[tuple[Received, Settle]]

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.2, 2.0
# A connection that lasted this long was stable: detecting that a node no longer responds takes longer, and then the
# next node must be tried without a long delay.
_STABLE_SECONDS = 5
_DRAIN_SECONDS, _MAX_WAIT_SECONDS, _DEAD_LETTER_CHECK_SECONDS = 20, 2.0, 5
_MAX_IN_TRANSACTION = 50


@dataclass(frozen=True)
class ConsumerConfig:
    """The consumption of a queue: its handler, the keys of the exchange `events` that it is bound to, and its order.

    `in_order` means that messages are processed one after the other, also with several workers: one that is retried
    delays those after it. Messages that wait may share a transaction, so that a long queue shrinks quickly.
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
        self._max_in_transaction = _MAX_IN_TRANSACTION if config.in_order and not config.is_long_running else 1
        job_context = JobContext(database, settings, stop_event, metrics.of_service) if config.is_long_running else None
        self._processor = MessageProcessor(queue, config.handler, database, metrics.message_seconds, job_context)
        self._redelivered = metrics.redelivered.labels(queue)
        self._queue_messages = metrics.queue_messages.labels(queue)
        self._dead_letters = metrics.dead_letters.labels(queue)
        self._connection: BlockingConnection
        self._pool = ThreadPoolExecutor()
        self._waiting: Waiting = deque()
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
        self._waiting = deque()
        self._unsettled_count = 0
        try:
            # While a queue has no leader, each of these requests may wait for a minute.
            with self.liveness.suspended():
                channel = self._connection.channel()
                broker.declare_queue(channel, self._queue, self._config.bindings, single_active=self._config.in_order)
                # A long-running job that was prefetched would wait here while another worker is idle.
                prefetched_per_thread = 1 if self._config.is_long_running else 2 * max(5, self._max_in_transaction)
                channel.basic_qos(prefetch_count=self._threads * prefetched_per_thread)
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
            self._connection.process_data_events(_MAX_WAIT_SECONDS)

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
        self._waiting.append((Received(properties, body), acknowledge))
        self._pool.submit(self._handle_waiting, self._connection, self._cancel_event, self._waiting)

    def _handle_waiting(self, connection: BlockingConnection, cancel_event: Event, waiting: Waiting) -> None:
        """Process what waits, in a thread of the pool, which may use the connection only to schedule a callback.

        This is scheduled once per message; it does nothing if an earlier call has taken the message.
        """
        batch = [waiting.popleft() for _ in range(min(len(waiting), self._max_in_transaction))]
        are_handled = len(batch) > 1 and self._processor.run_together([message for message, _ in batch], cancel_event)
        for message, acknowledge in batch:
            settle = acknowledge if are_handled else self._handle(message, acknowledge, cancel_event)
            try:
                connection.add_callback_threadsafe(settle)
            except broker.Error as error:
                log.warning("message.not_settled", queue=self._queue, reason=repr(error))

    def _handle(self, message: Received, acknowledge: Settle, cancel_event: Event) -> Settle:
        with handling(self._queue, message.properties) as attributes:
            try:
                if reason := self._processor.run(message, cancel_event):
                    attributes["error.type"] = "dead_lettered"
                    deadletters.add(self._nodes, self._name, self._queue, message, reason)
                return acknowledge
            except Interrupted:
                return self._leave_unacknowledged
            except BaseException:
                cancel_event.set()  # no later message may overtake this one
                attributes["error.type"] = "processing_failed"
                log.exception("message.processing_failed", queue=self._queue)
                return self._abort_connection

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
