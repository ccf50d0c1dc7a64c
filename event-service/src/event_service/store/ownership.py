"""SQL statements for the owners of consumers."""

from chassis.db import Transaction


def find_consumer_owner(tx: Transaction, stream_id: int, consumer: str) -> str | None:
    owner: str | None = tx.value(
        "SELECT owner FROM consumers WHERE stream_id = %(stream)s AND name = %(consumer)s",
        stream=stream_id,
        consumer=consumer,
    )
    return owner


def claim_consumer(tx: Transaction, stream_id: int, consumer: str, user: str) -> str:
    """Make the user the owner if the consumer has none, and return its owner.

    Concurrent calls return the same owner.
    """
    owner: str = tx.value(
        """
        INSERT INTO consumers AS existing (stream_id, name, owner) VALUES (%(stream)s, %(consumer)s, %(user)s)
        ON CONFLICT ON CONSTRAINT consumers_pkey DO UPDATE SET owner = existing.owner
        RETURNING owner
        """,
        stream=stream_id,
        consumer=consumer,
        user=user,
    )
    return owner
