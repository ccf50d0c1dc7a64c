"""Postgres: connections, a bounded pool, transactions, migrations."""

from chassis.db.connection import connect
from chassis.db.transaction import (
    Broken,
    Database,
    StatementError,
    Transaction,
    UniqueViolation,
    errors_as_problems,
)

__all__ = ["Broken", "Database", "StatementError", "Transaction", "UniqueViolation", "connect", "errors_as_problems"]
