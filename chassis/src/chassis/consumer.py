"""One queue of RabbitMQ, consumed: handlers in threads, heartbeats live beside them, acknowledged after the commit."""

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from chassis import broker, logs
from chassis.attempts import Attempts, Handler, Interrupted
from chassis.db import Database

log = logs.logger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_DRAIN_SECONDS = 20
_LOOK_AT_DEAD_LETTERS_SECONDS = 5


@dataclass(frozen=True)
class Consumption:
    """A queue's handler, the keys of the exchange `events` it is bound to, and whether order matters.

    In order means one message at a time over all workers, and that one which waits makes those behind it wait.
    """

    handler: Handler
    bindings: tuple[str, ...] = ()
    in_order: bool = False


class Consumer:
    """Runs in a thread of its own, on a connection of its own; finds the broker again by itself."""

    def __init__(
        self,
        service: str,
        queue: str,
        consumption: Consumption,
        database: Database,
        amqp_url: str,
        stopping: threading.Event,
        threads: int,
    ) -> None:
        self._name, self._queue, self._consumption = f"{service}-worker {queue}", queue, consumption
        self._amqp_url, self._stopping = amqp_url, stopping
        self._threads = 1 if consumption.in_order else threads
        self._attempts = Attempts(queue, consumption.handler, database, stopping)
        self._connection: Any = None
        self._unsettled = 0
        self.connected = False
        self.dead_letters = 0

    def run(self) -> None:
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._consume()
            except (broker.Error, OSError) as error:
                log.warning("consumer.disconnected", queue=self._queue, reason=repr(error))
            except Exception:
                log.exception("consumer.failed", queue=self._queue)
            self.connected = False
            pause = _SHORTEST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _consume(self) -> None:
        self._connection = broker.connect(self._amqp_url, self._name)
        self._unsettled = 0
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._queue)
        try:
            channel = self._connection.channel()
            channel.confirm_delivery()
            broker.declare_queue(
                channel, self._queue, self._consumption.bindings, single_active=self._consumption.in_order
            )
            channel.basic_qos(prefetch_count=max(2 * self._threads, 20))
            tag = channel.basic_consume(self._queue, functools.partial(self._received, pool, self._connection))
            self.connected = True
            log.info("consumer.connected", queue=self._queue)
            self._process_until_stopped(channel)
            channel.basic_cancel(tag)
            self._drain()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if self._connection.is_open:
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

    def _received(
        self, pool: ThreadPoolExecutor, connection: Any, channel: Any, method: Any, properties: Any, body: bytes
    ) -> None:
        self._unsettled += 1
        settle = functools.partial(self._settle, channel, method.delivery_tag, properties, body)
        pool.submit(self._handle, connection, settle, properties, body)

    def _handle(self, connection: Any, settle: Any, properties: Any, body: bytes) -> None:
        """In a thread of the pool, which must not touch the connection but by its queue of callbacks."""
        done = False
        reason = None
        with logs.bound(request_id=properties.correlation_id or "", message_id=properties.message_id or ""):
            try:
                reason = self._attempts.run(properties, body)
                done = True
            except Interrupted:
                pass
            try:
                connection.add_callback_threadsafe(functools.partial(settle, done, reason))
            except broker.Error as error:
                log.warning("message.not_settled", queue=self._queue, reason=repr(error))

    def _settle(
        self, channel: Any, tag: int, properties: Any, body: bytes, done: bool, reason: str | None
    ) -> None:
        """In the connection's thread. A channel that is gone took its deliveries back to the queue."""
        self._unsettled -= 1
        if not channel.is_open or not done:
            return
        if reason:
            headers = {**(properties.headers or {}), "x-reason": reason[:2000], "x-queue": self._queue}
            properties.headers = headers
            channel.basic_publish("", broker.dead_letter_queue(self._queue), body, properties, mandatory=True)
        channel.basic_ack(tag)
