"""Which messages have had their effect: the other half of "at most once in effect"."""

from chassis.db import Transaction


def claim_message(tx: Transaction, message_id: str, queue: str) -> bool:
    """True once for each message and queue. Noted with the effect, in its transaction."""
    return (
        tx.run(
            """
            INSERT INTO inbox (message_id, queue) VALUES (%(message_id)s, %(queue)s)
            ON CONFLICT ON CONSTRAINT inbox_pkey DO NOTHING
            """,
            message_id=message_id,
            queue=queue,
        )
        == 1
    )


def count_failure(tx: Transaction, message_id: str, queue: str, reason: str) -> int:
    """How often this message's handler has raised by now, this time included, whichever worker it was."""
    return int(
        tx.value(
            """
            INSERT INTO message_failures AS known (message_id, queue, failures, reason)
            VALUES (%(message_id)s, %(queue)s, 1, %(reason)s)
            ON CONFLICT ON CONSTRAINT message_failures_pkey
            DO UPDATE SET failures = known.failures + 1, reason = excluded.reason, failed_at = now()
            RETURNING failures
            """,
            message_id=message_id,
            queue=queue,
            reason=reason,
        )
    )


def forget_failures(tx: Transaction, message_id: str, queue: str) -> None:
    tx.run(
        "DELETE FROM message_failures WHERE message_id = %(message_id)s AND queue = %(queue)s",
        message_id=message_id,
        queue=queue,
    )
