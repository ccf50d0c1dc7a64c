"""Factories and their points."""

from chassis.db import Transaction
from factory_service.domain.charts import Points


def insert_factory(tx: Transaction, id_: int, name: str, points: int) -> None:
    tx.run(
        "INSERT INTO factories (id, name, points) VALUES (%(id)s, %(name)s, %(points)s)",
        id=id_,
        name=name,
        points=points,
    )


def exists(tx: Transaction, id_: int) -> bool:
    return bool(tx.value("SELECT EXISTS (SELECT FROM factories WHERE id = %(id)s)", id=id_))


def lock_factory(tx: Transaction, id_: int) -> str | None:
    """Its tag; None where there is none. Other writers of it wait until this transaction ends."""
    return tx.value(
        "SELECT version || '-' || mark FROM factories WHERE id = %(id)s FOR NO KEY UPDATE",
        id=id_,
    )


def delete_factory(tx: Transaction, id_: int) -> None:
    """Its points are taken away later: there may be millions."""
    tx.run("DELETE FROM factories WHERE id = %(id)s", id=id_)
    tx.run("DELETE FROM loaded WHERE collection = 'factories' AND id = %(id)s", id=id_)
    tx.run("INSERT INTO gone_factories (id) VALUES (%(id)s)", id=id_)


def sweep(tx: Transaction, most: int) -> int:
    """How many points of a factory that is gone were taken away."""
    id_ = tx.value("SELECT id FROM gone_factories ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    if id_ is None:
        return 0
    gone = tx.run(
        """
        DELETE FROM points WHERE factory_id = %(id)s AND time IN (
            SELECT time FROM points WHERE factory_id = %(id)s ORDER BY time LIMIT %(most)s)
        """,
        id=id_,
        most=most,
    )
    if gone < most:
        tx.run("DELETE FROM gone_factories WHERE id = %(id)s", id=id_)
    return gone


def next_send_number(tx: Transaction) -> int:
    """Greater than every number that was returned before this began."""
    return int(tx.value("SELECT nextval('production_sent')"))


def insert_points(tx: Transaction, id_: int, points: Points, sent: int) -> int:
    """How many are new. Of two values for one time the one sent last stays."""
    return int(
        tx.value(
            """
            WITH written AS (
                INSERT INTO points AS known (factory_id, time, actual, goal, sent)
                SELECT %(id)s, p.time, p.actual, p.goal, %(sent)s
                FROM unnest(%(time)s::bigint[], %(actual)s::bigint[], %(goal)s::bigint[]) AS p (time, actual, goal)
                ON CONFLICT ON CONSTRAINT points_pkey DO UPDATE
                SET actual = excluded.actual, goal = excluded.goal, sent = excluded.sent
                WHERE known.sent < excluded.sent
                RETURNING (xmax = 0) AS is_new
            )
            SELECT count(*) FROM written WHERE is_new
            """,
            id=id_,
            sent=sent,
            time=_array(points.time),
            actual=_array(points.actual),
            goal=_array(points.goal),
        )
    )


def count_points(tx: Transaction, id_: int) -> int:
    return int(tx.value("SELECT count(*) FROM points WHERE factory_id = %(id)s", id=id_))


def touch_factory(tx: Transaction, id_: int, new_points: int) -> int:
    """A new version of it; how many points it has."""
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
    """Quicker than an ARRAY[…] of so many literals."""
    return "{" + ",".join(map(str, values)) + "}"
