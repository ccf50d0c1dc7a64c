"""From the outbox to RabbitMQ: in order, confirmed in windows, one relay at a time for each service."""

import threading
import time
import zlib
from typing import Any

from chassis import broker, db, logs, strictjson
from chassis.errors import Unavailable
from chassis.nodes import Nodes
from chassis.publisher import WindowPublisher

log = logs.logger(__name__)

_NAMESPACE = 0x51725265
_WINDOW = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE, _STANDBY_PAUSE = 0.2, 5.0, 1.0
_REFUSED_SECONDS = 1.0

_NEXT = """
    SELECT id, message_id::text, exchange, routing_key, type, correlation_id, headers, body, mandatory,
           extract(epoch FROM created_at)::bigint
    FROM outbox
    WHERE CASE exchange WHEN '' THEN routing_key ELSE exchange END <> ALL (%(refused)s)
    ORDER BY id LIMIT %(window)s
"""


class Relay:
    """Runs in a thread of its own. A message is sent when its row is gone.

    It may die between publish and delete, which sends a message twice, never between delete and publish. The advisory
    lock lives on the connection that reads and deletes: who lost the lock cannot delete either.
    Messages keep their order within a lane, which is a work queue or the exchange of events. Where nobody takes a
    lane's messages, the other lanes go on.
    """

    def __init__(self, service: str, database_url: str, amqp_url: str, stopping: threading.Event) -> None:
        self._service, self._database_url, self._nodes = service, database_url, Nodes(amqp_url)
        self._stopping = stopping
        self._connection: Any = None
        self._window: list[Any] = []
        self._left_out: list[Any] = []
        self._proved: set[str] = set()
        self._refused_until: dict[str, float] = {}
        # Or on stand-by, while another process's relay is.
        self.connected = False

    def run(self) -> None:
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            try:
                pause = _SHORTEST_PAUSE if self._lead() else _STANDBY_PAUSE
            except Exception as error:
                expected = isinstance(error, (broker.Error, OSError, Unavailable, *db.Broken))
                log.warning("relay.interrupted", reason=repr(error), exc_info=not expected)
                pause = _SHORTEST_PAUSE if self.connected else min(pause * 2, _LONGEST_PAUSE)
                self.connected = False
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
            self._proved.clear()
            name = f"{self._service}-relay"
            WindowPublisher(self._nodes, name, self._next_window, self._delete).run()
            return True
        finally:
            self._connection.close()

    def _next_window(self) -> list[tuple[str, str, Any, bytes, bool]] | None:
        self.connected = True
        if self._stopping.is_set():
            return None
        now = time.monotonic()
        refused = [lane for lane, until in self._refused_until.items() if until > now]
        with self._connection.cursor() as cursor:
            cursor.execute(_NEXT, {"refused": refused, "window": _WINDOW})
            self._window, self._left_out = self._in_order(cursor.fetchall())
        return [self._publishable(row) for row in self._window]

    def _in_order(self, rows: list[Any]) -> tuple[list[Any], list[Any]]:
        """One of each lane of which it is not known that somebody takes what has to be taken, all else; the rest.

        A queue that appears in the middle of a window would get its second half first.
        """
        safe: list[Any] = []
        left_out: list[Any] = []
        tried = set()
        for row in rows:
            is_safe = not _mandatory(row) or _lane(row) in self._proved or _lane(row) not in tried
            (safe if is_safe else left_out).append(row)
            tried.add(_lane(row))
        return safe, left_out

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
        sent = [self._window[index] for index in taken]
        self._proved.update(map(_lane, sent))
        accepted = set(taken)
        refused = [row for index, row in enumerate(self._window) if index not in accepted]
        ids = {row[0] for row in sent} - {row[0] for row in refused} - {row[0] for row in self._left_out}
        for lane in set(map(_lane, refused)):
            self._proved.discard(lane)
            self._refused_until[lane] = time.monotonic() + _REFUSED_SECONDS
        if refused:
            log.warning("relay.refused", lanes=sorted(set(map(_lane, refused))), refused=len(refused))
        with self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM outbox WHERE id = ANY(%s)", (list(ids),))


def _mandatory(row: Any) -> bool:
    return row[8]


def _lane(row: Any) -> str:
    exchange, routing_key = row[2], row[3]
    return exchange or routing_key
