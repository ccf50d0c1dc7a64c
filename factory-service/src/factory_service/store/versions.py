"""Versions of resources: sent as the ETag; a cached response is valid only while its version is current."""

from collections.abc import Collection

from chassis.db import Transaction

_VERSIONS = """
    SELECT 'factory:' || id, version || '-' || mark FROM factories WHERE id = ANY(%(factory)s::bigint[])
    UNION ALL
    SELECT 'sprocket:' || id, version || '-' || mark FROM sprockets WHERE id = ANY(%(sprocket)s::bigint[])
    UNION ALL
    SELECT name, version || '-' || mark FROM collections
"""


def find_versions(tx: Transaction, resources: Collection[str]) -> dict[str, str]:
    """Return the versions of the existing resources, such as `factory:7` or `sprocket:3`, and of both collections."""
    ids: dict[str, list[int]] = {"factory": [], "sprocket": []}
    for kind, _, id_ in (resource.partition(":") for resource in resources):
        if id_:
            ids[kind].append(int(id_))
    return dict(tx.rows(_VERSIONS, **ids))
