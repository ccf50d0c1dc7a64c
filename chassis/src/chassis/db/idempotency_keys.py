"""How long the responses of requests with an Idempotency-Key are kept."""

from datetime import datetime

from chassis.db.transaction import Transaction

RETENTION_HOURS = 24


def prune(tx: Transaction, _now: datetime) -> None:
    """Delete the responses of expired keys."""
    tx.run(
        "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(hours => %(hours)s)",
        hours=RETENTION_HOURS,
    )
