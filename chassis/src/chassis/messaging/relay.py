"""The relay: publishes the outbox to RabbitMQ in order, with confirms; one relay per service is the leader."""

import threading
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from chassis import db, strictjson
from chassis.db import notifications
from chassis.errors import Unavailable
from chassis.messaging import broker
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import AmqpMessage, Publisher
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime import logs, tracing
from chassis.runtime.liveness import Liveness

log = logs.logger(__name__)

Result = TypeVar("Result")

LOCK_NAMESPACE = 0x51725265
# The payload of a notification that asks the relay for its lock; a session that only waits for the lock gets it later.
RELEASE = "release"
_WINDOW_SIZE = 500
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS, _STANDBY_SECONDS = 0.2, 2.0, 1.0
_LANE_RETRY_SECONDS = 1.0
# The next row is read when a notification arrives, or after this time.
_MAX_PAUSE_SECONDS = 5.0
# Longer than the 10 s that confirms may take; a frozen leader is replaced after this time.
_MAX_IDLE_SECONDS = 15

_NEXT_ROWS = """
    SELECT id, message_id::text AS message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory,
           extract(epoch FROM created_at)::bigint AS created
    FROM outbox
    WHERE CASE exchange WHEN '' THEN routing_key ELSE exchange END <> ALL (%(blocked_lanes)s)
    ORDER BY id LIMIT %(window_size)s
"""


_SUCCESSOR_WAITS = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objsubid = 2
          AND (classid, objid) = (%(namespace)s::bigint::oid, (%(key)s::bigint & 4294967295)::oid)
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""


class Relay:
    """Runs in a dedicated thread. A row is deleted once its message is confirmed.

    If the relay dies between publishing and deleting, the message is sent twice. The connection that reads and deletes
    rows also holds the advisory lock: a relay that lost the lock can no longer delete. A session that waits for the
    lock, as a backup does, receives it within ten seconds, or at once if it sends RELEASE before, and no message is
    published until that session ends. Postgres ends the session of a relay that is frozen, so that another one can take
    over.

    Messages keep their order within a lane, which is a job queue or the exchange `events`. A lane whose messages no
    queue accepts does not delay the other lanes.
    """

    def __init__(
        self,
        service: str,
        database_url: str,
        amqp_url: str,
        stop_event: threading.Event,
        metrics: WorkerMetrics,
    ) -> None:
        self._service, self._database_url, self._nodes = service, database_url, Nodes(amqp_url)
        self._stop_event, self._metrics = stop_event, metrics
        self.liveness = Liveness()
        # Lanes whose last message was accepted by a queue.
        self._open_lanes: set[str] = set()
        # Lanes whose last message was not accepted, and the time at which to try them again.
        self._blocked_until: dict[str, float] = {}
        # Also true on standby, while the relay of another process is the leader.
        self.is_connected = False

    def run(self) -> None:
        retry_seconds = _MIN_RETRY_SECONDS
        while not self._stop_event.is_set():
            self.liveness.tick()
            try:
                retry_seconds = _MIN_RETRY_SECONDS if self._run_as_leader() else _STANDBY_SECONDS
            except Exception as error:
                is_expected = isinstance(error, (broker.Error, OSError, Unavailable, *db.ConnectionLost))
                log.warning("relay.interrupted", reason=repr(error), exc_info=not is_expected)
                retry_seconds = _MIN_RETRY_SECONDS if self.is_connected else min(retry_seconds * 2, _MAX_RETRY_SECONDS)
                self.is_connected = False
            self._stop_event.wait(retry_seconds)

    def _run_as_leader(self) -> bool:
        """Publish until the worker stops; return False if another session holds the lock or asks for it."""
        name = f"{self._service}-relay"
        with closing(db.connect(self._database_url, name=name, autocommit=True)) as connection:
            tx = db.Transaction(connection)
            lock = {"namespace": LOCK_NAMESPACE, "key": lock_key(self._service)}
            if not self._query(tx.value, "SELECT pg_try_advisory_lock(%(namespace)s, %(key)s)", **lock):
                self.is_connected = True
                return False
            self._query(tx.run, f"SET idle_session_timeout = '{_MAX_IDLE_SECONDS}s'")
            log.info("relay.leading")
            self._open_lanes.clear()
            notifications.listen(connection)
            with Publisher(self._nodes, name) as publisher, self._metrics.relay_leading.track_inprogress():
                checked_at = time.monotonic()
                while not self._stop_event.is_set():
                    self.is_connected = True
                    if time.monotonic() - checked_at > _MAX_PAUSE_SECONDS:
                        checked_at = time.monotonic()
                        if self._query(tx.value, _SUCCESSOR_WAITS, **lock):
                            return False
                    has_published = self._publish_window(tx, publisher)
                    payloads = notifications.received(connection)
                    if RELEASE in payloads:
                        return False
                    if not has_published and not payloads:
                        publisher.wait(self._pause_seconds(), connection.fileno())
        return True

    def _pause_seconds(self) -> float:
        """Return the time until the next row is read; that of a blocked lane may have passed since the last one."""
        return _LANE_RETRY_SECONDS if self._blocked_until else _MAX_PAUSE_SECONDS

    def _publish_window(self, tx: db.Transaction, publisher: Publisher) -> bool:
        """Publish the next rows and delete those that were accepted; return False if there were none to publish."""
        window = self._select_publishable(self._next_rows(tx))
        messages = [self._message(row) for row in window]
        names = [f"publish {_lane(row)}" for row in window]
        with tracing.publish_spans(names, [message.properties.headers for message in messages]):
            accepted_indices = publisher.publish(messages)
        accepted = [row for index, row in enumerate(window) if index in accepted_indices]
        rejected = [row for index, row in enumerate(window) if index not in accepted_indices]
        self._update_lanes(accepted, rejected)
        if accepted:
            self._metrics.relay_published.inc(len(accepted))
            self._query(tx.run, "DELETE FROM outbox WHERE id = ANY(%(ids)s)", ids=[row["id"] for row in accepted])
        return bool(window)

    def _query(self, execute: Callable[..., Result], sql: str, **params: object) -> Result:
        """Wait for Postgres for any time: the relay is not stuck until the response arrives."""
        with self.liveness.suspended():
            return execute(sql, **params)

    def _next_rows(self, tx: db.Transaction) -> list[db.Row]:
        now = time.monotonic()
        self._blocked_until = {lane: until for lane, until in self._blocked_until.items() if until > now}
        return self._query(tx.all, _NEXT_ROWS, blocked_lanes=list(self._blocked_until), window_size=_WINDOW_SIZE)

    def _select_publishable(self, rows: list[db.Row]) -> list[db.Row]:
        """Return the rows to publish now.

        From a lane that is not known to have a queue, only the first mandatory message is published: if the queue were
        declared while the window is being published, it would receive the second half of the window first.
        """
        publishable: list[db.Row] = []
        seen_lanes: set[str] = set()
        for row in rows:
            lane = _lane(row)
            if not row["mandatory"] or lane in self._open_lanes or lane not in seen_lanes:
                publishable.append(row)
            seen_lanes.add(lane)
        return publishable

    def _update_lanes(self, accepted: list[db.Row], rejected: list[db.Row]) -> None:
        blocked_lanes = set(map(_lane, rejected))
        self._open_lanes = (self._open_lanes | set(map(_lane, accepted))) - blocked_lanes
        self._blocked_until |= dict.fromkeys(blocked_lanes, time.monotonic() + _LANE_RETRY_SECONDS)
        if rejected:
            log.warning("relay.messages_rejected", lanes=sorted(blocked_lanes), count=len(rejected))

    def _message(self, row: db.Row) -> AmqpMessage:
        properties = broker.Properties(
            message_id=row["message_id"],
            type=row["type"],
            app_id=self._service,
            correlation_id=row["correlation_id"],
            timestamp=row["created"],
            headers=strictjson.loads(row["headers"].encode()),
            content_type="application/json",
            delivery_mode=broker.PERSISTENT,
        )
        return AmqpMessage(row["exchange"], row["routing_key"], properties, row["body"].encode(), row["mandatory"])


def lock_key(service: str) -> int:
    return zlib.crc32(service.encode()) - 2**31


def _lane(row: db.Row) -> str:
    lane: str = row["exchange"] or row["routing_key"]
    return lane
