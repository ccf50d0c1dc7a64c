"""The two lists as wholes: the numbers that things get, and their versions."""

from chassis.db import Transaction


def take_id(tx: Transaction, collection: str) -> int:
    """The next number of a collection: without gaps, so a second one waits here for the first."""
    return int(
        tx.value(
            "UPDATE collections SET last_id = last_id + 1 WHERE name = %(name)s RETURNING last_id", name=collection
        )
    )


def lock(tx: Transaction, collection: str) -> None:
    """Until the transaction ends nobody else adds to it."""
    tx.run("SELECT FROM collections WHERE name = %(name)s FOR UPDATE", name=collection)


def touch(tx: Transaction, collection: str) -> None:
    """A new version of it."""
    tx.run("UPDATE collections SET version = version + 1, mark = DEFAULT WHERE name = %(name)s", name=collection)
