"""Factories and their points."""

from chassis.db import Transaction
from factory_service.domain.buckets import MIN_ROLLUP_WIDTH
from factory_service.domain.charts import Points

# Of the smallest roll-ups that one statement may update. If each has a point per second, it takes a few seconds.
_MAX_ROLLUPS_PER_STATEMENT = 2000


def insert_factory(tx: Transaction, id_: int, name: str, point_count: int) -> None:
    tx.run(
        "INSERT INTO factories (id, name, points) VALUES (%(id)s, %(name)s, %(points)s)",
        id=id_,
        name=name,
        points=point_count,
    )


def exists(tx: Transaction, id_: int) -> bool:
    return bool(tx.value("SELECT EXISTS (SELECT FROM factories WHERE id = %(id)s)", id=id_))


def lock_factory(tx: Transaction, id_: int) -> str | None:
    """Lock the factory against other writers and return its ETag; None if it does not exist."""
    tag: str | None = tx.value(
        "SELECT version || '-' || mark FROM factories WHERE id = %(id)s FOR NO KEY UPDATE",
        id=id_,
    )
    return tag


def delete_factory(tx: Transaction, id_: int) -> None:
    """Delete the factory and leave its points to a timer, because there may be millions of them."""
    tx.run("DELETE FROM factories WHERE id = %(id)s", id=id_)
    tx.run("DELETE FROM loaded WHERE collection = 'factories' AND id = %(id)s", id=id_)
    tx.run("INSERT INTO gone_factories (id) VALUES (%(id)s)", id=id_)


def delete_points_of_deleted_factory(tx: Transaction, limit: int) -> int | None:
    """Delete up to `limit` points of one deleted factory and return their number; None if no such factory is left."""
    id_ = tx.value("SELECT id FROM gone_factories ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    if id_ is None:
        return None
    deleted = tx.run(
        """
        DELETE FROM points WHERE factory_id = %(id)s AND time IN (
            SELECT time FROM points WHERE factory_id = %(id)s ORDER BY time LIMIT %(limit)s)
        """,
        id=id_,
        limit=limit,
    )
    if deleted < limit:
        tx.run("DELETE FROM gone_factories WHERE id = %(id)s", id=id_)
        tx.run("DELETE FROM incomplete_rollups WHERE factory_id = %(id)s", id=id_)
    return deleted


def next_send_number(tx: Transaction) -> int:
    """Return a number greater than all numbers that were returned before this call began."""
    return int(tx.value("SELECT nextval('production_sent')"))


def insert_points(tx: Transaction, id_: int, points: Points, send_number: int) -> int:
    """Insert or update the points and return how many are new.

    For each time, the greatest send number wins; of points with the same number, those that are inserted last. Points
    that are far apart are inserted in several statements, so that none exceeds the statement_timeout of the role.
    """
    is_dense = points.time[-1] - points.time[0] < _MAX_ROLLUPS_PER_STATEMENT * MIN_ROLLUP_WIDTH
    size = len(points) if is_dense else _MAX_ROLLUPS_PER_STATEMENT
    parts = (points.part(first, first + size) for first in range(0, len(points), size))
    return sum(_insert_points(tx, id_, part, send_number) for part in parts)


def _insert_points(tx: Transaction, id_: int, points: Points, send_number: int) -> int:
    return int(
        tx.value(
            """
            WITH written AS (
                INSERT INTO points AS existing (factory_id, time, actual, goal, sent)
                SELECT %(id)s, p.time, p.actual, p.goal, %(sent)s
                FROM unnest(%(time)s::bigint[], %(actual)s::bigint[], %(goal)s::bigint[]) AS p (time, actual, goal)
                ON CONFLICT ON CONSTRAINT points_pkey DO UPDATE
                SET actual = excluded.actual, goal = excluded.goal, sent = excluded.sent
                WHERE existing.sent <= excluded.sent
                RETURNING (xmax = 0) AS is_new
            )
            SELECT count(*) FROM written WHERE is_new
            """,
            id=id_,
            sent=send_number,
            time=_array(points.time),
            actual=_array(points.actual),
            goal=_array(points.goal),
        )
    )


def list_points(tx: Transaction, id_: int, first: int, last: int, limit: int) -> list[tuple[int, int, int]]:
    """Return time, actual and goal of the points from `first` to `last`, ordered by time."""
    return tx.rows(
        """
        SELECT time, actual, goal FROM points
        WHERE factory_id = %(id)s AND time BETWEEN %(first)s AND %(last)s ORDER BY time LIMIT %(limit)s
        """,
        id=id_,
        first=first,
        last=last,
        limit=limit,
    )


def count_points(tx: Transaction, id_: int) -> int:
    return int(tx.value("SELECT count(*) FROM points WHERE factory_id = %(id)s", id=id_))


def add_to_point_count(tx: Transaction, id_: int, new_points: int) -> int:
    """Add to the point count of the factory, give it a new version, and return the new count."""
    return int(
        tx.value(
            """
            UPDATE factories SET version = version + 1, mark = DEFAULT, points = points + %(new)s
            WHERE id = %(id)s RETURNING points
            """,
            id=id_,
            new=new_points,
        )
    )


def _array(values: list[int]) -> str:
    """Return an array literal, which Postgres parses faster than ARRAY[…] with thousands of elements."""
    return "{" + ",".join(map(str, values)) + "}"
