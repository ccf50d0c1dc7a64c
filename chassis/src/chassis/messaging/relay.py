"""From the outbox to RabbitMQ: in order, confirmed in windows, one relay at a time for each service."""

import threading
import time
import zlib
from contextlib import closing
from typing import Any

from chassis import db, strictjson
from chassis.errors import Unavailable
from chassis.messaging import broker
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import Publication, Publisher
from chassis.runtime import logs

log = logs.logger(__name__)

_NAMESPACE = 0x51725265
_WINDOW = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE, _STANDBY_PAUSE = 0.2, 5.0, 1.0
_REFUSED_SECONDS = 1.0
_IDLE_SECONDS = 0.1

# Whole rows: a window is exceeded by the last one's messages at the most.
_NEXT = """
    SELECT coalesce(array_agg(id), '{}') FROM (
        SELECT id, sum(messages) OVER (ORDER BY id) - messages AS before FROM (
            SELECT id, messages FROM outbox
            WHERE CASE exchange WHEN '' THEN routing_key ELSE exchange END <> ALL (%(refused)s)
            ORDER BY id LIMIT %(window)s
        ) AS first
    ) AS counted WHERE before < %(window)s
"""
_TAKE = """
    SELECT id, message_id::text AS message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory,
           extract(epoch FROM created_at)::bigint AS created
    FROM outgoing WHERE id = ANY(%(ids)s) ORDER BY id, place
"""


class Relay:
    """Runs in a thread of its own. A message is sent when its row is gone.

    It may die between publish and delete, which sends a message twice, never between delete and publish. The advisory
    lock lives on the connection that reads and deletes: a relay that lost the lock cannot delete either.
    Messages keep their order within a lane, which is a work queue or the exchange of events. Where nobody takes a
    lane's messages, the other lanes go on.
    """

    def __init__(self, service: str, database_url: str, amqp_url: str, stopping: threading.Event) -> None:
        self._service, self._database_url, self._nodes = service, database_url, Nodes(amqp_url)
        self._stopping = stopping
        # Lanes whose last message a queue took, and until when the other lanes are left alone.
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
        """Publish until the worker stops; return False if another process leads."""
        name = f"{self._service}-relay"
        with closing(db.connect(self._database_url, name=name, autocommit=True)) as connection:
            tx = db.Transaction(connection)
            key = zlib.crc32(self._service.encode()) - 2**31
            if not tx.value("SELECT pg_try_advisory_lock(%(space)s, %(key)s)", space=_NAMESPACE, key=key):
                self.connected = True
                return False
            log.info("relay.leads")
            self._proved.clear()
            with Publisher(self._nodes, name) as publisher:
                while not self._stopping.is_set():
                    self.connected = True
                    if not self._publish_window(tx, publisher):
                        publisher.idle(_IDLE_SECONDS)
        return True

    def _publish_window(self, tx: db.Transaction, publisher: Publisher) -> bool:
        """Publish the next rows and delete those that were taken; return False if none were due."""
        window, postponed = self._without_second_tries(self._next_rows(tx))
        taken = publisher.publish([self._publication(row) for row in window])
        refused = [row for index, row in enumerate(window) if index not in taken]
        sent = [row for index, row in enumerate(window) if index in taken]
        self._note_lanes(sent, refused)
        # A row may stand for several messages: it goes once all of them are sent.
        done = {row["id"] for row in sent} - {row["id"] for row in refused} - {row["id"] for row in postponed}
        if done:
            tx.run("DELETE FROM outbox WHERE id = ANY(%(ids)s)", ids=list(done))
        return bool(window)

    def _next_rows(self, tx: db.Transaction) -> list[dict[str, Any]]:
        now = time.monotonic()
        refused = [lane for lane, until in self._refused_until.items() if until > now]
        ids = tx.value(_NEXT, refused=refused, window=_WINDOW)
        return tx.all(_TAKE, ids=ids) if ids else []

    def _without_second_tries(self, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows to publish now and those to postpone.

        Of a lane that has not proved to have a queue, only the first mandatory message is tried: were its queue
        declared in the middle of the window, it would get the window's second half first.
        """
        now: list[dict[str, Any]] = []
        postponed: list[dict[str, Any]] = []
        tried: set[str] = set()
        for row in rows:
            lane = _lane(row)
            may_go = not row["mandatory"] or lane in self._proved or lane not in tried
            (now if may_go else postponed).append(row)
            tried.add(lane)
        return now, postponed

    def _note_lanes(self, sent: list[dict[str, Any]], refused: list[dict[str, Any]]) -> None:
        lanes = set(map(_lane, refused))
        self._proved = (self._proved | set(map(_lane, sent))) - lanes
        self._refused_until |= dict.fromkeys(lanes, time.monotonic() + _REFUSED_SECONDS)
        if refused:
            log.warning("relay.refused", lanes=sorted(lanes), refused=len(refused))

    def _publication(self, row: dict[str, Any]) -> Publication:
        properties = broker.properties(
            message_id=row["message_id"],
            type=row["type"],
            app_id=self._service,
            correlation_id=row["correlation_id"],
            timestamp=row["created"],
            headers=strictjson.loads(row["headers"].encode()),
        )
        return Publication(row["exchange"], row["routing_key"], properties, row["body"].encode(), row["mandatory"])


def _lane(row: dict[str, Any]) -> str:
    return row["exchange"] or row["routing_key"]
