"""The collections of factories and of sprockets: their versions and last issued IDs."""

from chassis.db import Transaction


def next_id(tx: Transaction, collection: str) -> int:
    """Issue the next ID of a collection. IDs have no gaps, so concurrent callers wait for each other."""
    return int(
        tx.value(
            "UPDATE collections SET last_id = last_id + 1 WHERE name = %(name)s RETURNING last_id", name=collection
        )
    )


def lock_collection(tx: Transaction, collection: str) -> None:
    """Prevent other transactions from adding to the collection until this one ends."""
    tx.run("SELECT FROM collections WHERE name = %(name)s FOR UPDATE", name=collection)


def update_version(tx: Transaction, collection: str) -> None:
    """Give the collection a new version."""
    tx.run("UPDATE collections SET version = version + 1, mark = DEFAULT WHERE name = %(name)s", name=collection)
