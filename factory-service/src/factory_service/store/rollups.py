"""Roll-ups of points: a trigger updates them; here they are built for points that are older than the trigger."""

from chassis.db import Transaction
from factory_service.store import factories


def count_rollups(tx: Transaction, id_: int, width: int, first: int, last: int, limit: int) -> int:
    """Return the number of roll-ups of one width that begin between both times, or `limit` if there are more."""
    return int(
        tx.value(
            """
            SELECT count(*) FROM (
                SELECT FROM rollups
                WHERE factory_id = %(id)s AND width = %(width)s AND start BETWEEN %(first)s AND %(last)s LIMIT %(limit)s
            ) AS r
            """,
            id=id_,
            width=width,
            first=first,
            last=last,
            limit=limit,
        )
    )


def insert_incomplete(tx: Transaction, id_: int | None) -> int:
    """Mark the roll-ups of one factory or of all as incomplete, so that they are built again; return the number."""
    return tx.run(
        """
        INSERT INTO incomplete_rollups (factory_id) SELECT id FROM factories WHERE id = %(id)s OR %(id)s IS NULL
        ON CONFLICT ON CONSTRAINT incomplete_rollups_pkey DO UPDATE SET next_time = DEFAULT
        """,
        id=id_,
    )


def delete_incomplete(tx: Transaction, id_: int) -> None:
    tx.run("DELETE FROM incomplete_rollups WHERE factory_id = %(id)s", id=id_)


def build_next(tx: Transaction, limit: int) -> int | None:
    """Build the next roll-ups of one factory and return its ID; None if the roll-ups of all factories are complete.

    They contain at least `limit` points, if there are as many, and end with a day. Writers of the factory wait for the
    end of the transaction.
    """
    row = tx.find(
        """
        SELECT factory_id AS id, next_time AS first FROM incomplete_rollups
        WHERE EXISTS (SELECT FROM factories WHERE id = factory_id) ORDER BY factory_id LIMIT 1 FOR UPDATE
        """
    )
    if row is None:
        return None
    if factories.lock_factory(tx, row["id"]) is None:
        delete_incomplete(tx, row["id"])
        return int(row["id"])
    end = tx.value(
        """
        SELECT max(time) / 86400 * 86400 + 86400 FROM (
            SELECT time FROM points WHERE factory_id = %(id)s AND time >= %(first)s ORDER BY time LIMIT %(limit)s
        ) AS p
        """,
        limit=limit,
        **row,
    )
    # Also those of the following week: otherwise the roll-up of a week would contain wrong ones of its later days.
    tx.run(
        """
        DELETE FROM rollups WHERE factory_id = %(id)s AND width = ANY (ARRAY[900, 3600, 86400, 604800])
            AND start >= %(first)s AND (start < %(end)s + 604800 OR %(end)s IS NULL)
        """,
        end=end,
        **row,
    )
    if end is None:
        delete_incomplete(tx, row["id"])
    else:
        _build(tx, row["id"], row["first"], end)
    return int(row["id"])


def _build(tx: Transaction, id_: int, first: int, end: int) -> None:
    tx.run(
        """
        SELECT roll_up_points(%(id)s, ARRAY(
            SELECT DISTINCT time / 900 * 900 FROM points
            WHERE factory_id = %(id)s AND time >= %(first)s AND time < %(end)s))
        """,
        id=id_,
        first=first,
        end=end,
    )
    tx.run("UPDATE incomplete_rollups SET next_time = %(end)s WHERE factory_id = %(id)s", id=id_, end=end)
