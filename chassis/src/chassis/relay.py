"""From the outbox to RabbitMQ: in order, confirmed in windows, one relay at a time for each service."""

import threading
import zlib
from typing import Any

from chassis import broker, db, logs, strictjson
from chassis.errors import Unavailable

log = logs.logger(__name__)

_NAMESPACE = 0x51725265
_WINDOW = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE, _STANDBY_PAUSE = 0.2, 5.0, 1.0

_TAKE = """
    SELECT id, message_id::text, exchange, routing_key, type, correlation_id, headers, body, mandatory,
           extract(epoch FROM created_at)::bigint
    FROM outbox ORDER BY id LIMIT %s
"""


class Relay:
    """Runs in a thread of its own. A message is sent when its row is gone.

    It may die between publish and delete, which sends a message twice, never between delete and publish. The advisory
    lock lives on the connection that reads and deletes: who lost the lock cannot delete either.
    """

    def __init__(self, service: str, database_url: str, amqp_url: str, stopping: threading.Event) -> None:
        self._service, self._database_url, self._amqp_url = service, database_url, amqp_url
        self._stopping = stopping
        self._connection: Any = None
        self._ids: list[int] = []
        # Or on stand-by, while another process's relay is.
        self.connected = False

    def run(self) -> None:
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            try:
                pause = _SHORTEST_PAUSE if self._lead() else _STANDBY_PAUSE
            except (broker.Error, OSError, Unavailable, *db.Broken) as error:
                self.connected = False
                log.warning("relay.interrupted", reason=repr(error), pause_seconds=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                self.connected = False
                log.exception("relay.failed", pause_seconds=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _lead(self) -> bool:
        """False: another process leads."""
        self._connection = db.connect(self._database_url, name=f"{self._service}-relay", autocommit=True)
        try:
            with self._connection.cursor() as cursor:
                key = zlib.crc32(self._service.encode()) - 2**31
                cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (_NAMESPACE, key))
                if not cursor.fetchone()[0]:
                    self.connected = True
                    return False
            log.info("relay.leads")
            name = f"{self._service}-relay"
            broker.WindowPublisher(self._amqp_url, name, self._next_window, self._delete).run()
            return True
        finally:
            self._connection.close()

    def _next_window(self) -> list[tuple[str, str, Any, bytes, bool]] | None:
        self.connected = True
        if self._stopping.is_set():
            return None
        with self._connection.cursor() as cursor:
            cursor.execute(_TAKE, (_WINDOW,))
            rows = cursor.fetchall()
        self._ids = [row[0] for row in rows]
        return [self._publishable(row) for row in rows]

    def _publishable(self, row: Any) -> tuple[str, str, Any, bytes, bool]:
        _, message_id, exchange, key, type_, correlation_id, headers, body, mandatory, created = row
        given = broker.properties(
            message_id=message_id,
            type=type_,
            app_id=self._service,
            correlation_id=correlation_id,
            timestamp=created,
            headers=strictjson.loads(headers.encode()),
        )
        return exchange, key, given, body.encode(), mandatory

    def _delete(self, taken: list[int]) -> None:
        if len(taken) < len(self._ids):
            log.warning("relay.refused", refused=len(self._ids) - len(taken))
        with self._connection.cursor() as cursor:
            sent = [self._ids[index] for index in taken]
            cursor.execute("DELETE FROM outbox WHERE id = ANY(%s)", (sent,))
