"""Statements about owners and their datasets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.db import Transaction


@dataclass(frozen=True)
class Schedule:
    every_seconds: int
    due_at: datetime


def lock_dataset(tx: Transaction, owner: str, name: str) -> dict[str, Any] | None:
    """Nobody else gives out its next revision before this transaction ends."""
    return tx.find(
        "SELECT id, revisions FROM datasets WHERE owner = %(owner)s AND name = %(name)s FOR UPDATE",
        owner=owner,
        name=name,
    )


def lock_owner(tx: Transaction, owner: str) -> int:
    """How many datasets there are of that owner; nobody else adds one before this transaction ends."""
    tx.run("INSERT INTO owners (id) VALUES (%(owner)s) ON CONFLICT DO NOTHING", owner=owner)
    return int(tx.value("SELECT datasets FROM owners WHERE id = %(owner)s FOR UPDATE", owner=owner))


def insert_dataset(tx: Transaction, owner: str, name: str, now: datetime) -> dict[str, Any]:
    """Without a revision yet; the owner is locked."""
    tx.run("UPDATE owners SET datasets = datasets + 1 WHERE id = %(owner)s", owner=owner)
    return tx.one(
        """
        INSERT INTO datasets (owner, name, revisions, findability, modified_at)
        VALUES (%(owner)s, %(name)s, 0, 'private', %(now)s)
        RETURNING id, revisions
        """,
        owner=owner,
        name=name,
        now=now,
    )


def set_upload(
    tx: Transaction, dataset: int, revision: int, findability: str, schedule: Schedule | None, now: datetime
) -> None:
    """The newest upload says what holds for the dataset as a whole; the row is locked."""
    tx.run(
        """
        UPDATE datasets SET revisions = %(revision)s, findability = %(findability)s, modified_at = %(now)s,
                            every_seconds = %(every)s, due_at = %(due_at)s, scheduled_revision = %(scheduled)s
        WHERE id = %(dataset)s
        """,
        dataset=dataset,
        revision=revision,
        findability=findability,
        now=now,
        every=schedule and schedule.every_seconds,
        due_at=schedule and schedule.due_at,
        scheduled=revision if schedule else None,
    )


def set_revision(tx: Transaction, dataset: int, revision: int, now: datetime) -> None:
    tx.run(
        "UPDATE datasets SET revisions = %(revision)s, modified_at = %(now)s WHERE id = %(dataset)s",
        dataset=dataset,
        revision=revision,
        now=now,
    )


def take_due(tx: Transaction, now: datetime) -> dict[str, Any] | None:
    """The dataset that has been due for longest, locked; those that another worker has at hand are passed over."""
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


def set_due(tx: Transaction, dataset: int, due_at: datetime) -> None:
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


def list_datasets(tx: Transaction, owner: str, *, is_owner: bool, limit: int, offset: int) -> list[dict[str, Any]]:
    return tx.all(
        f"""
        SELECT datasets.owner || '/' || datasets.name AS id, datasets.name AS dataset, datasets.findability,
               datasets.revisions AS revision, flows.state, datasets.every_seconds,
               datasets.due_at, datasets.modified_at
        FROM datasets JOIN flows ON flows.dataset = datasets.id AND flows.revision = datasets.revisions
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
