"""Reports that each worker writes into Postgres every few seconds: its connection to RabbitMQ, and its queues."""

from chassis import strictjson
from chassis.db import Row, Transaction

REPORT_SECONDS = 5
_MAX_AGE_SECONDS = 4 * REPORT_SECONDS


def save(
    tx: Transaction, worker: str, *, is_connected: bool, dead_letters: dict[str, int], queues: dict[str, Row]
) -> None:
    tx.run(
        """
        INSERT INTO workers (worker, seen_at, broker_connected, dead_letters, queues)
        VALUES (%(worker)s, now(), %(is_connected)s, %(dead_letters)s, %(queues)s)
        ON CONFLICT ON CONSTRAINT workers_pkey DO UPDATE
        SET seen_at = now(), broker_connected = excluded.broker_connected, dead_letters = excluded.dead_letters,
            queues = excluded.queues
        """,
        worker=worker,
        is_connected=is_connected,
        dead_letters=strictjson.dumps(dead_letters),
        queues=strictjson.dumps(queues),
    )


def delete(tx: Transaction, worker: str) -> None:
    tx.run("DELETE FROM workers WHERE worker = %(worker)s", worker=worker)


def live_workers(tx: Transaction) -> list[Row]:
    """Return the reports of the workers that are alive, the newest first.

    All workers report the same queues, except those of an older version, which report none and come last.
    """
    rows = tx.all(
        """
        SELECT worker, broker_connected, dead_letters, queues FROM workers
        WHERE seen_at > now() - make_interval(secs => %(max_age)s) ORDER BY queues = '{}', seen_at DESC
        """,
        max_age=_MAX_AGE_SECONDS,
    )
    return [row | {name: strictjson.loads(row[name].encode()) for name in ("dead_letters", "queues")} for row in rows]


def prune(tx: Transaction) -> None:
    tx.run("DELETE FROM workers WHERE seen_at < now() - interval '1 hour'")
