"""Locks on the idempotency keys of uploads in progress."""

from chassis.db import Transaction

_LOCK_ID = "hashtextextended(current_schema() || %(name)s, 0)"


def claim_key(tx: Transaction, username: str, key: str) -> bool:
    """Lock the key until `release_key` or the end of the connection; return False if another connection holds it."""
    return bool(tx.value(f"SELECT pg_try_advisory_lock({_LOCK_ID})", name=_lock_name(username, key)))


def release_key(tx: Transaction, username: str, key: str) -> None:
    tx.value(f"SELECT pg_advisory_unlock({_LOCK_ID})", name=_lock_name(username, key))


def _lock_name(username: str, key: str) -> str:
    """Return a name that differs from that of the lock of chassis.web.idempotency, which is also acquired."""
    return f"\x02{username}\x02{key}"
