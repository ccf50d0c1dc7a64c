"""The inbox: message IDs whose effect is committed, so that a redelivered message has no second effect."""

from chassis.db import Transaction


def claim_message(tx: Transaction, message_id: str, queue: str, request_id: str) -> bool:
    """Return True once per message and queue. The claim is committed or rolled back together with the effect."""
    inserted = tx.run(
        """
        INSERT INTO inbox (message_id, queue, request_id) VALUES (%(message_id)s, %(queue)s, %(request_id)s)
        ON CONFLICT ON CONSTRAINT inbox_pkey DO NOTHING
        """,
        message_id=message_id,
        queue=queue,
        request_id=request_id,
    )
    return inserted == 1


def record_failure(tx: Transaction, message_id: str, queue: str, reason: str) -> int:
    """Count a failure of the message's handler, and return the number of its failures in all workers."""
    return int(
        tx.value(
            """
            INSERT INTO message_failures AS existing (message_id, queue, failures, reason)
            VALUES (%(message_id)s, %(queue)s, 1, %(reason)s)
            ON CONFLICT ON CONSTRAINT message_failures_pkey
            DO UPDATE SET failures = existing.failures + 1, reason = excluded.reason, failed_at = now()
            RETURNING failures
            """,
            message_id=message_id,
            queue=queue,
            reason=reason,
        )
    )


def delete_failures(tx: Transaction, message_id: str, queue: str) -> None:
    tx.run(
        "DELETE FROM message_failures WHERE message_id = %(message_id)s AND queue = %(queue)s",
        message_id=message_id,
        queue=queue,
    )
