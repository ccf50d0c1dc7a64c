"""One queue of RabbitMQ, consumed: handlers in threads, heartbeats live beside them, acknowledged after the commit."""

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from chassis.db import Database
from chassis.messaging import broker
from chassis.messaging.message_processor import Handler, Interrupted, JobContext, MessageProcessor
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import Publication, publish
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings

log = logs.logger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
# No node that stops answering is left sooner, and the next one is to be tried at once.
_STABLE_SECONDS = 5
_DRAIN_SECONDS = 20
_LOOK_AT_DEAD_LETTERS_SECONDS = 5


@dataclass(frozen=True)
class ConsumerConfig:
    """A queue's handler, the keys of the exchange `events` it is bound to, and whether order matters.

    In order means one message at a time over all workers, and that one which waits makes those behind it wait.
    Long work gets JobContext in place of a transaction.
    """

    handler: Handler
    bindings: tuple[str, ...] = ()
    in_order: bool = False
    is_long_running: bool = False


class Consumer:
    """Runs in a thread of its own, on a connection of its own; finds the broker again by itself."""

    def __init__(
        self,
        service: str,
        queue: str,
        config: ConsumerConfig,
        database: Database,
        amqp_url: str,
        stopping: threading.Event,
        threads: int,
        settings: ServiceSettings | None = None,
    ) -> None:
        self._name, self._queue, self._config = f"{service}-worker {queue}", queue, config
        self._nodes, self._stopping = Nodes(amqp_url), stopping
        self._threads = 1 if config.in_order else threads
        job_context = JobContext(database, settings, stopping) if config.is_long_running else None
        self._processor = MessageProcessor(queue, config.handler, database, job_context)
        self._connection: Any = None
        self._pool = ThreadPoolExecutor()
        self._stop_event = threading.Event()
        self._unsettled = 0
        self.connected = False
        self.dead_letters = 0

    def run(self) -> None:
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with broker.connected(self._nodes, self._name) as self._connection:
                    self._consume()
            except (broker.Error, OSError) as error:
                log.warning("consumer.disconnected", queue=self._queue, reason=repr(error))
            except Exception:
                log.exception("consumer.failed", queue=self._queue)
            self.connected = False
            is_stable = time.monotonic() - began > _STABLE_SECONDS
            pause = _SHORTEST_PAUSE if is_stable else min(pause * 2, _LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _consume(self) -> None:
        # What was received on this connection ends with it: another one will be given the message.
        self._stop_event = threading.Event()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._queue)
        self._unsettled = 0
        try:
            channel = self._connection.channel()
            broker.declare_queue(channel, self._queue, self._config.bindings, single_active=self._config.in_order)
            # Long work that waits here would wait while another worker is idle.
            few = self._threads if self._config.is_long_running else max(2 * self._threads, 20)
            channel.basic_qos(prefetch_count=few)
            channel.basic_consume(self._queue, self._received)
            self.connected = True
            log.info("consumer.connected", queue=self._queue)
            self._process_until_stopped(channel)
            self._stop_event.set()
            self._drain()
        finally:
            self._stop_event.set()
            if self._connection.is_open:
                self._leave_connection()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _leave_connection(self) -> None:
        if self._config.in_order:
            broker.close_gracefully(self._connection)
        else:
            self._connection.close()

    def _process_until_stopped(self, channel: Any) -> None:
        looked_at = 0.0
        while not self._stopping.is_set():
            self._connection.process_data_events(0.5)
            if time.monotonic() - looked_at > _LOOK_AT_DEAD_LETTERS_SECONDS:
                looked_at = time.monotonic()
                dead = channel.queue_declare(broker.dead_letter_queue(self._queue), passive=True)
                self.dead_letters = dead.method.message_count

    def _drain(self) -> None:
        """What has begun ends and is acknowledged; what has not goes back to the queue with the connection."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._unsettled and time.monotonic() < deadline:
            self._connection.process_data_events(0.1)

    def _received(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._unsettled += 1
        settle = functools.partial(self._settle, channel, method.delivery_tag)
        self._pool.submit(self._handle, self._connection, self._stop_event, settle, properties, body)

    def _handle(self, connection: Any, stop_event: threading.Event, settle: Any, properties: Any, body: bytes) -> None:
        """In a thread of the pool, which must not touch the connection but by its queue of callbacks."""
        with logs.bound(request_id=properties.correlation_id or "", message_id=properties.message_id or ""):
            try:
                if reason := self._processor.run(properties, body, stop_event):
                    self._bury(properties, body, reason)
            except Interrupted:
                settle = self._leave
            except BaseException:
                log.exception("message.not_handled", queue=self._queue)
                settle = self._give_up_connection
            try:
                connection.add_callback_threadsafe(settle)
            except broker.Error as error:
                log.warning("message.not_settled", queue=self._queue, reason=repr(error))

    def _bury(self, properties: Any, body: bytes, reason: str) -> None:
        # pika cannot write all that it reads: a float is one.
        given = (properties.headers or {}).items()
        kept = {name: value if isinstance(value, str | int) else repr(value) for name, value in given}
        properties.headers = {**kept, "x-reason": reason, "x-queue": self._queue}
        publish(self._nodes, self._name, Publication("", broker.dead_letter_queue(self._queue), properties, body))

    def _settle(self, channel: Any, tag: int) -> None:
        """In the connection's thread, as the two below. A channel that is gone took its deliveries back."""
        self._unsettled -= 1
        if channel.is_open:
            channel.basic_ack(tag)

    def _leave(self) -> None:
        self._unsettled -= 1

    def _give_up_connection(self) -> None:
        raise RuntimeError("a message could be neither processed nor dead-lettered")
