"""Postgres: connections, a bounded pool, transactions, migrations."""

from chassis.db.connection import connect
from chassis.db.transaction import (
    Broken,
    Database,
    StatementError,
    Transaction,
    UniqueViolation,
    translate_db_errors,
)

__all__ = ["Broken", "Database", "StatementError", "Transaction", "UniqueViolation", "connect", "translate_db_errors"]
