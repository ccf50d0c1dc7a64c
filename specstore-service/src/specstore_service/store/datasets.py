"""Statements on owners and their datasets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.db import Transaction


@dataclass(frozen=True)
class Schedule:
    every_seconds: int
    due_at: datetime


def claim_upload_revision(
    tx: Transaction, owner: str, name: str, findability: str, schedule: Schedule | None, now: datetime
) -> dict[str, Any] | None:
    """Return the dataset's ID and its next revision, which no other caller receives; None if it does not exist.

    The findability and schedule of the newest upload apply to the dataset. Concurrent callers wait for the row lock.
    A transaction must update the row only once: otherwise waiting callers would deadlock.
    """
    return tx.find(
        """
        UPDATE datasets SET revisions = revisions + 1, findability = %(findability)s, modified_at = %(now)s,
               every_seconds = %(every)s, due_at = %(due_at)s,
               scheduled_revision = CASE WHEN %(due_at)s::timestamptz IS NOT NULL THEN revisions + 1 END
        WHERE owner = %(owner)s AND name = %(name)s
        RETURNING id, revisions AS revision, findability
        """,
        owner=owner,
        name=name,
        findability=findability,
        now=now,
        every=schedule and schedule.every_seconds,
        due_at=schedule and schedule.due_at,
    )


def claim_revision(
    tx: Transaction, owner: str, name: str, now: datetime, next_due_at: datetime | None = None
) -> dict[str, Any]:
    """Return the dataset's ID and its next revision for a stored spec. The findability and schedule are kept."""
    return tx.one(
        """
        UPDATE datasets SET revisions = revisions + 1, modified_at = %(now)s,
                            due_at = coalesce(%(next_due_at)s, due_at)
        WHERE owner = %(owner)s AND name = %(name)s
        RETURNING id, revisions AS revision, findability
        """,
        owner=owner,
        name=name,
        now=now,
        next_due_at=next_due_at,
    )


def lock_owner(tx: Transaction, owner: str) -> int:
    """Return the owner's number of datasets, to which no other transaction can add until this one ends."""
    tx.run("INSERT INTO owners (id) VALUES (%(owner)s) ON CONFLICT DO NOTHING", owner=owner)
    return int(tx.value("SELECT datasets FROM owners WHERE id = %(owner)s FOR UPDATE", owner=owner))


def insert_dataset(
    tx: Transaction, owner: str, name: str, findability: str, schedule: Schedule | None, now: datetime
) -> dict[str, Any]:
    """Insert a dataset with its first revision. The caller must hold the lock of the owner."""
    tx.run("UPDATE owners SET datasets = datasets + 1 WHERE id = %(owner)s", owner=owner)
    return tx.one(
        """
        INSERT INTO datasets (owner, name, revisions, findability, modified_at, every_seconds, due_at,
                              scheduled_revision)
        VALUES (%(owner)s, %(name)s, 1, %(findability)s, %(now)s, %(every)s, %(due_at)s, %(scheduled)s)
        RETURNING id, revisions AS revision, findability
        """,
        owner=owner,
        name=name,
        findability=findability,
        now=now,
        every=schedule and schedule.every_seconds,
        due_at=schedule and schedule.due_at,
        scheduled=1 if schedule else None,
    )


def claim_due(tx: Transaction, now: datetime) -> dict[str, Any] | None:
    """Lock and return the dataset that has been due for longest, skipping those that another worker has locked."""
    return tx.find(
        """
        SELECT datasets.id, owner, datasets.name, every_seconds, datasets.due_at, spec
        FROM datasets JOIN flows ON flows.dataset = datasets.id AND flows.revision = scheduled_revision
        WHERE datasets.due_at <= %(now)s
        ORDER BY datasets.due_at LIMIT 1
        FOR UPDATE OF datasets SKIP LOCKED
        """,
        now=now,
    )


def update_due(tx: Transaction, dataset: int, due_at: datetime) -> None:
    tx.run("UPDATE datasets SET due_at = %(due_at)s WHERE id = %(dataset)s", dataset=dataset, due_at=due_at)


def find_dataset(tx: Transaction, owner: str, name: str) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT id, revisions, findability FROM datasets WHERE owner = %(owner)s AND name = %(name)s
        """,
        owner=owner,
        name=name,
    )


_VISIBLE = "(%(is_owner)s OR datasets.findability = 'published')"


def _with_newest_revision(may_see_private: str) -> str:
    """Return the start of a query for datasets, each with the newest of its revisions that the caller may see."""
    return f"""
        SELECT datasets.owner || '/' || datasets.name AS id, datasets.name AS dataset, datasets.findability,
               newest.revision, newest.state, datasets.every_seconds, datasets.due_at,
               newest.created_at AS modified_at
        FROM datasets JOIN LATERAL (
            SELECT revision, state, created_at FROM flows
            WHERE dataset = datasets.id AND ({may_see_private} OR findability <> 'private')
            ORDER BY revision DESC LIMIT 1
        ) AS newest ON true
    """


def list_datasets(tx: Transaction, owner: str, *, is_owner: bool, limit: int, offset: int) -> list[dict[str, Any]]:
    """Return the visible datasets of an owner."""
    return tx.all(
        f"""
        {_with_newest_revision("%(is_owner)s")}
        WHERE owner = %(owner)s AND {_VISIBLE}
        ORDER BY datasets.name LIMIT %(limit)s OFFSET %(offset)s
        """,
        owner=owner,
        is_owner=is_owner,
        limit=limit,
        offset=offset,
    )


def count_datasets(tx: Transaction, owner: str, *, is_owner: bool) -> int:
    return int(
        tx.value(
            f"SELECT count(*) FROM datasets WHERE owner = %(owner)s AND {_VISIBLE}", owner=owner, is_owner=is_owner
        )
    )


_VISIBLE_TO_USER = "(datasets.owner = %(user)s OR datasets.findability = 'published')"


def list_all_datasets(
    tx: Transaction, user: str | None, *, limit: int, after_owner: str, after_name: str
) -> list[dict[str, Any]]:
    """Return the datasets that a user may see, by owner and name, after these ones (empty: from the start).

    The index on both columns is read from there, so that a late page is as fast as the first one.
    """
    return tx.all(
        f"""
        {_with_newest_revision("datasets.owner = %(user)s")}
        WHERE (datasets.owner, datasets.name) > (%(after_owner)s, %(after_name)s) AND {_VISIBLE_TO_USER}
        ORDER BY datasets.owner, datasets.name LIMIT %(limit)s
        """,
        user=user,
        after_owner=after_owner,
        after_name=after_name,
        limit=limit,
    )


def count_all_datasets(tx: Transaction, user: str | None) -> int:
    return int(tx.value(f"SELECT count(*) FROM datasets WHERE {_VISIBLE_TO_USER}", user=user))
