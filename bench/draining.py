"""Waits until everything is published and processed."""

import itertools
import time
from contextlib import closing

import pika
import psycopg2
from processes import Groups, Usage, read_usage

from quintet_local.gateway import fetch_queues
from quintet_local.testing import TestStack

_MAX_SECONDS, _POLL_SECONDS, _CHECKS = 300, 0.05, 3
# What a relay does appears in the outboxes.
_BUSY = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state <> 'idle' AND application_name NOT LIKE '%-relay'
          AND pid <> pg_backend_pid()
    )
"""


class Drain:
    """Waits until nothing of a stack has work left."""

    def __init__(self, stack: TestStack, groups: Groups) -> None:
        self._stack, self._groups = stack, groups
        self._queues, _ = fetch_queues(stack.settings)

    def __call__(self) -> tuple[float, Usage]:
        """Return when the work was done, and what the groups had used by then.

        RabbitMQ reports late how many messages are not acknowledged, so the transactions of the workers are checked
        instead. Between two messages, a worker is idle for a moment; hence several checks.
        """
        deadline = time.monotonic() + _MAX_SECONDS
        with (
            closing(psycopg2.connect(self._stack.admin_database_url)) as database,
            closing(pika.BlockingConnection(pika.URLParameters(self._stack.amqp_url))) as broker,
            database.cursor() as cursor,
        ):
            database.autocommit = True
            channel = broker.channel()
            while time.monotonic() < deadline:
                drained_at, usage = time.monotonic(), read_usage(self._groups)
                for check in itertools.count(1):
                    if self._has_work(cursor, channel):
                        break
                    if check == _CHECKS:
                        return drained_at, usage
                    time.sleep(_POLL_SECONDS)
                time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"the stack still has work after {_MAX_SECONDS} s")

    def _has_work(self, cursor: "psycopg2.extensions.cursor", channel: "pika.channel.Channel") -> bool:
        outboxes = [f"EXISTS (SELECT FROM {service}.outbox)" for service in self._stack.service_names]
        cursor.execute(f"SELECT {' OR '.join(outboxes)} OR ({_BUSY})")
        ((has_work,),) = cursor.fetchall()
        return has_work or any(
            channel.queue_declare(queue, passive=True).method.message_count for queue in self._queues
        )


class OutboxDrain:
    """Waits until the FastAPI application has published everything."""

    def __init__(self, database_url: str, groups: Groups) -> None:
        self._database_url, self._groups = database_url, groups

    def __call__(self) -> tuple[float, Usage]:
        deadline = time.monotonic() + _MAX_SECONDS
        with closing(psycopg2.connect(self._database_url)) as database, database.cursor() as cursor:
            database.autocommit = True
            while time.monotonic() < deadline:
                drained_at, usage = time.monotonic(), read_usage(self._groups)
                cursor.execute("SELECT FROM fastapi.outbox LIMIT 1")
                if not cursor.rowcount:
                    return drained_at, usage
                time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"FastAPI still has messages to publish after {_MAX_SECONDS} s")
