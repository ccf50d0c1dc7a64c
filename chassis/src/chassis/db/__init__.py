"""Postgres: connections, a bounded pool, transactions, and migrations. The only package that imports psycopg2.

It depends on `chassis.runtime`; `chassis.messaging` and `chassis.web` depend on it.
"""

from chassis.db.connection import Connection, connect
from chassis.db.transaction import (
    ConnectionLost,
    Database,
    Row,
    StatementError,
    Transaction,
    UniqueViolation,
    translate_db_errors,
)

__all__ = [
    "Connection",
    "ConnectionLost",
    "Database",
    "Row",
    "StatementError",
    "Transaction",
    "UniqueViolation",
    "connect",
    "translate_db_errors",
]
