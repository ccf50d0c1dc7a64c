"""Postgres: a bounded pool of connections and a transaction that commits when its block ends well."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extras import execute_values

from chassis.db.connection import connect
from chassis.db.pool import Pool
from chassis.errors import Conflict, Unavailable

UniqueViolation = psycopg2.errors.UniqueViolation
# What is wrong with a statement itself.
StatementError = (
    psycopg2.ProgrammingError,
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.NotSupportedError,
)
# What a connection outside a transaction block raises when Postgres goes away.
Broken = (psycopg2.OperationalError, psycopg2.InterfaceError)

_PING_AFTER_IDLE_SECONDS = 1.0


class Transaction:
    """Statements with named parameters; rows are dicts. Whoever opened it commits."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        # Done in this order once what the transaction did is durable, and before anybody is told of it.
        self.after_commit: list[Callable[[], None]] = []

    def find(self, sql: str, **params: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        self._cursor.execute(sql, params)
        row = self._cursor.fetchone()
        return None if row is None else dict(zip(self._columns(), row, strict=True))

    def one(self, sql: str, **params: Any) -> dict[str, Any]:
        """The row of a statement that always has one."""
        row = self.find(sql, **params)
        if row is None:
            raise LookupError("a statement that always has a row had none")
        return row

    def all(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        self._cursor.execute(sql, params)
        columns = self._columns()
        return [dict(zip(columns, row, strict=True)) for row in self._cursor.fetchall()]

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """All rows as tuples: for paths where a dict each would be felt."""
        self._cursor.execute(sql, params)
        return self._cursor.fetchall()

    def value(self, sql: str, **params: Any) -> Any:
        """The first column of the first row, or None."""
        self._cursor.execute(sql, params)
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def run(self, sql: str, **params: Any) -> int:
        """How many rows were touched."""
        self._cursor.execute(sql, params)
        return self._cursor.rowcount

    def insert_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """`INSERT … VALUES %s` with all rows in one statement for each thousand."""
        execute_values(self._cursor, sql, rows, page_size=1000)

    def copy_in(self, sql: str, source: Any) -> int:
        """`COPY … FROM STDIN`: return the number of rows. For workers only: under gevent psycopg2 refuses it."""
        self._cursor.copy_expert(sql, source, size=1024 * 1024)
        return self._cursor.rowcount

    def _columns(self) -> list[str]:
        return [column.name for column in self._cursor.description]


class Database:
    """Transactions on a pool of its own."""

    def __init__(self, dsn: str, *, name: str, size: int, wait_seconds: float) -> None:
        self.name = name
        self._pool = Pool(
            lambda: connect(dsn, name=name),
            size=size,
            wait_seconds=wait_seconds,
            is_alive=_is_alive,
            close=lambda connection: connection.close(),
        )

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Leaving the block commits, raising rolls back.

        Raises Unavailable when no connection comes free in time, when Postgres is away or restarts, and when a
        statement or a lock took longer than the role allows. A connection that broke takes its idle sisters with it,
        and none is used that Postgres closed while it was idle, so a restart costs nothing once it is over.
        """
        with translate_db_errors(), self._pool.lease() as lease:
            connection = lease.item
            tx = Transaction(connection)
            try:
                yield tx
                connection.commit()
            except BaseException:
                lease.broken = not _rolled_back(connection)
                raise
        for do in tx.after_commit:
            do()

    @contextmanager
    def statements(self) -> Iterator[Transaction]:
        """Each statement is a transaction of its own: one round trip instead of three."""
        with translate_db_errors(), self._pool.lease() as lease:
            connection = lease.item
            try:
                connection.autocommit = True
                yield Transaction(connection)
                connection.autocommit = False
            except BaseException:
                lease.broken = True
                raise

    def close(self) -> None:
        self._pool.close()


@contextmanager
def translate_db_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable) as error:
        raise Unavailable("the database timed out") from error
    except psycopg2.errors.TransactionRollbackError as error:
        raise Conflict("another request is changing the same data; retry") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise Unavailable("the database is unreachable") from error


def _rolled_back(connection: Any) -> bool:
    """Whether the connection is fit for the next one."""
    try:
        connection.rollback()
    except psycopg2.Error:
        return False
    return not connection.closed


def _is_alive(connection: Any, idle_seconds: float) -> bool:
    try:
        # The first takes in what Postgres said before it closed the connection, the second that it did.
        connection.poll()
        connection.poll()
        if idle_seconds < _PING_AFTER_IDLE_SECONDS:
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error:
        return False
    return True
