"""Transactions on a bounded pool of connections: they commit when their block completes, and roll back if it raises."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import psycopg2
import psycopg2.errors
from psycopg2.extras import execute_values

from chassis.db.connection import Connection, NotResponding, connect
from chassis.db.notifications import NOTIFY, Notifier
from chassis.db.pool import Pool
from chassis.errors import Busy, OutcomeUnknown, Unavailable
from chassis.runtime import tracing
from chassis.runtime.metrics import Metrics

Row = dict[str, Any]

UniqueViolation = psycopg2.errors.UniqueViolation
# Errors whose cause is the statement itself.
StatementError = (psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.IntegrityError, psycopg2.NotSupportedError)
# Errors that a connection raises, outside a transaction block, if it loses Postgres.
ConnectionLost = (psycopg2.OperationalError, psycopg2.InterfaceError)

_PING_AFTER_IDLE_SECONDS = 1.0


class Transaction:
    """Executes statements with named parameters. It never commits; the code that opened it does."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.cursor()
        # Whether processes that listen are notified after the commit.
        self.notifies = False
        # Called one after the other once the transaction is committed, before the code that opened it continues.
        self.after_commit: list[Callable[[], object]] = []

    def find(self, sql: str, **params: Any) -> Row | None:
        """Return the first row, or None if there is none."""
        self._cursor.execute(sql, params)
        row = self._cursor.fetchone()
        return None if row is None else dict(zip(self._columns(), row, strict=True))

    def one(self, sql: str, **params: Any) -> Row:
        """Return the first row of a statement that always returns one."""
        row = self.find(sql, **params)
        if row is None:
            raise LookupError("the statement must return a row, but returned none")
        return row

    def all(self, sql: str, **params: Any) -> list[Row]:
        self._cursor.execute(sql, params)
        columns = self._columns()
        return [dict(zip(columns, row, strict=True)) for row in self._cursor.fetchall()]

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """Return all rows as tuples, for hot paths on which a dict per row would be noticeable."""
        self._cursor.execute(sql, params)
        return self._cursor.fetchall()

    def value(self, sql: str, **params: Any) -> Any:
        """Return the first column of the first row, or None if there is no row."""
        self._cursor.execute(sql, params)
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def run(self, sql: str, **params: Any) -> int:
        """Execute a statement and return the number of affected rows."""
        self._cursor.execute(sql, params)
        return self._cursor.rowcount

    def insert_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Execute `INSERT … VALUES %s` for all rows, in one statement per thousand."""
        execute_values(self._cursor, sql, rows, page_size=1000)

    def copy_in(self, sql: str, source: IO[bytes]) -> int:
        """Execute `COPY … FROM STDIN` and return the number of rows. Workers only: psycopg2 rejects it under gevent."""
        self._cursor.copy_expert(sql, source, size=1024 * 1024)
        return self._cursor.rowcount

    def _columns(self) -> list[str]:
        return [column.name for column in self._cursor.description or ()]


class Database:
    """A pool of connections and the transactions on it."""

    def __init__(self, dsn: str, *, name: str, size: int, wait_seconds: float, metrics: Metrics | None = None) -> None:
        """Create the pool, whose use appears in `metrics` under its name."""
        self.name = name
        self._pool = Pool(
            lambda: connect(dsn, name=name),
            size=size,
            wait_seconds=wait_seconds,
            is_alive=_is_alive,
            close=lambda connection: connection.close(),
            metrics=(metrics or Metrics(name)).pool(name, size),
        )
        self._notifier = Notifier(self._notify)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit when the block completes; roll back if it raises.

        Raises Unavailable if no connection becomes free in time, if Postgres is down or restarting, and if a statement
        or a lock takes longer than the role allows; nothing was committed then. Raises OutcomeUnknown if the connection
        breaks during the commit. When a connection breaks, the idle ones are closed with it, and one that Postgres
        closed while it was idle is never used again: a restart causes errors only while it lasts.
        """
        with tracing.span("transaction"), translate_db_errors(), self._pool.lease() as lease:
            connection = lease.item
            tx = Transaction(connection)
            try:
                yield tx
                with _detect_unknown_outcome():
                    connection.commit()
            except BaseException:
                lease.is_broken = not _roll_back(connection)
                raise
            finally:
                self._notify_if_requested(tx)
        for callback in tx.after_commit:
            callback()

    @contextmanager
    def statements(self) -> Iterator[Transaction]:
        """Commit each statement of the block separately: one round trip instead of three.

        Raises the errors of `transaction`; OutcomeUnknown if the connection breaks during any statement.
        """
        with tracing.span("statements"), translate_db_errors(), self._pool.lease() as lease:
            connection = lease.item
            tx = Transaction(connection)
            try:
                connection.autocommit = True
                with _detect_unknown_outcome():
                    yield tx
                connection.autocommit = False
            except BaseException:
                lease.is_broken = not _roll_back(connection)
                raise
            finally:
                self._notify_if_requested(tx)

    def _notify_if_requested(self, tx: Transaction) -> None:
        # Also after an error: it may be unknown what was committed, and a superfluous notification is harmless.
        if tx.notifies:
            self._notifier.request()

    def _notify(self) -> None:
        with self.statements() as tx:
            tx.run(NOTIFY)

    def close(self) -> None:
        self._pool.close()


@contextmanager
def translate_db_errors() -> Iterator[None]:
    """Replace errors of psycopg2 that may not recur in a retry by Unavailable or Busy."""
    try:
        yield
    except (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable) as error:
        raise Unavailable("the database timed out") from error
    except psycopg2.errors.TransactionRollbackError as error:
        raise Busy("another request is changing the same data; retry") from error
    except ConnectionLost as error:
        raise Unavailable("the database is unreachable") from error


@contextmanager
def _detect_unknown_outcome() -> Iterator[None]:
    """Raise OutcomeUnknown if the connection breaks without an error from Postgres, which might have committed.

    An error that Postgres reports has a code, and the statement had no effect. An InterfaceError precedes sending.
    """
    try:
        yield
    except psycopg2.OperationalError as error:
        if error.pgcode is not None:
            raise
        raise OutcomeUnknown("the connection to the database was lost during a change") from error


def _roll_back(connection: Connection) -> bool:
    """Roll back and return whether the connection can be used again, for transactions."""
    try:
        connection.rollback()
        connection.autocommit = False
    except psycopg2.Error:
        return False
    return not connection.closed


def _is_alive(connection: Connection, idle_seconds: float) -> bool:
    try:
        # The first call reads what Postgres sent before it closed the connection; the second detects the close.
        connection.poll()
        connection.poll()
        if idle_seconds < _PING_AFTER_IDLE_SECONDS:
            return True
        # One round trip instead of the three of a transaction.
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.autocommit = False
    except NotResponding:
        # Nor would the other connections respond.
        raise
    except psycopg2.Error:
        return False
    return True
