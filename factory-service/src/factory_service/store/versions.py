"""The current version of each thing: its ETag, and what a cached response of it must have."""

from collections.abc import Collection

from chassis.db import Transaction

_VERSIONS = """
    SELECT 'factory:' || id, version || '-' || mark FROM factories WHERE id = ANY(%(factory)s::bigint[])
    UNION ALL
    SELECT 'sprocket:' || id, version || '-' || mark FROM sprockets WHERE id = ANY(%(sprocket)s::bigint[])
    UNION ALL
    SELECT name, version || '-' || mark FROM collections
"""


def find_versions(tx: Transaction, things: Collection[str]) -> dict[str, str]:
    """Of those that exist, and of both lists: `factory:7`, `sprocket:3`, `factories`, `sprockets`."""
    ids: dict[str, list[int]] = {"factory": [], "sprocket": []}
    for kind, _, id_ in (thing.partition(":") for thing in things):
        if id_:
            ids[kind].append(int(id_))
    return dict(tx.rows(_VERSIONS, **ids))
