"""SQL statements for the schemas of a stream."""

from chassis.db import Transaction
from event_service.domain.ownership import Caller


def list_schemas(tx: Transaction, stream: str) -> dict[tuple[str, int], str]:
    rows = tx.rows(
        """
        SELECT schemas.name, version, document FROM schemas JOIN streams ON streams.id = stream_id
        WHERE streams.name = %(stream)s
        """,
        stream=stream,
    )
    return {(name, version): document for name, version, document in rows}


def upsert_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> bool:
    """Set the schema, or before the first event a draft of it; return False if the caller may not set it.

    A stream with events accepts schemas only from its owner and from admins.
    After the commit, appends that were validated against an earlier revision are rejected.
    """
    return bool(
        tx.value(
            _UPSERT_SCHEMA,
            stream=stream,
            name=name,
            version=version,
            document=document,
            user=caller.user,
            is_admin=caller.is_admin,
        )
    )


_UPSERT_SCHEMA = """
    WITH stream AS (
        INSERT INTO streams AS existing (name, revision) VALUES (%(stream)s, 1)
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE SET revision = existing.revision + 1
        WHERE existing.producer IS NULL OR existing.owner = %(user)s OR %(is_admin)s
        RETURNING id, producer
    ), draft AS (
        INSERT INTO schema_drafts (stream_id, owner, name, version, document)
        SELECT id, coalesce(%(user)s, ''), %(name)s, %(version)s, %(document)s FROM stream WHERE producer IS NULL
        ON CONFLICT ON CONSTRAINT schema_drafts_pkey DO UPDATE SET document = excluded.document
    ), schema AS (
        INSERT INTO schemas (stream_id, name, version, document)
        SELECT id, %(name)s, %(version)s, %(document)s FROM stream WHERE producer IS NOT NULL
        ON CONFLICT ON CONSTRAINT schemas_pkey DO UPDATE SET document = excluded.document
    )
    SELECT 1 FROM stream
"""


def adopt_drafts(tx: Transaction, stream: str, user: str | None) -> None:
    """Turn the drafts of this user into schemas of the stream, and delete the drafts of all other users.

    A draft is a schema that was set before the first event.
    """
    tx.run(
        """
        WITH drafts AS (
            DELETE FROM schema_drafts WHERE stream_id = (SELECT id FROM streams WHERE name = %(stream)s)
            RETURNING stream_id, owner, name, version, document
        )
        INSERT INTO schemas (stream_id, name, version, document)
        SELECT stream_id, name, version, document FROM drafts WHERE owner = coalesce(%(user)s, '')
        ON CONFLICT ON CONSTRAINT schemas_pkey DO UPDATE SET document = excluded.document
        """,
        stream=stream,
        user=user,
    )


# Schemas of the stream or, before its first event, those that the user has set. Never both.
_VISIBLE = """
    (
        SELECT schemas.name, version, document FROM schemas JOIN streams ON streams.id = stream_id
        WHERE streams.name = %(stream)s
        UNION ALL
        SELECT schema_drafts.name, version, document FROM schema_drafts JOIN streams ON streams.id = stream_id
        WHERE streams.name = %(stream)s AND schema_drafts.owner = coalesce(%(user)s, '')
    ) AS visible
"""


def measure_visible(tx: Transaction, stream: str, user: str | None) -> tuple[int, int]:
    """Return the number of schemas, and their total size in bytes."""
    ((count, size_bytes),) = tx.rows(
        f"SELECT count(*), coalesce(sum(octet_length(document)), 0)::bigint FROM {_VISIBLE}", stream=stream, user=user
    )
    return count, size_bytes


def list_visible_keys(tx: Transaction, stream: str, user: str | None, limit: int, offset: int) -> list[tuple[str, int]]:
    """Return names and versions, ordered by both."""
    return tx.rows(
        f"SELECT name, version FROM {_VISIBLE} ORDER BY name, version LIMIT %(limit)s OFFSET %(offset)s",
        stream=stream,
        user=user,
        limit=limit,
        offset=offset,
    )


def find_visible_schema(tx: Transaction, stream: str, name: str, version: int, user: str | None) -> str | None:
    document: str | None = tx.value(
        f"SELECT document FROM {_VISIBLE} WHERE name = %(name)s AND version = %(version)s",
        stream=stream,
        user=user,
        name=name,
        version=version,
    )
    return document


def delete_visible_schema(tx: Transaction, stream_id: int, name: str, version: int, user: str | None) -> bool:
    """Delete the schema of the stream or the user's draft; return False if it does not exist.

    After the commit, appends that were validated against an earlier revision are rejected. The stream must be locked.
    """
    key = "stream_id = %(stream)s AND name = %(name)s AND version = %(version)s"
    count = tx.value(
        f"""
        WITH schema AS (
            DELETE FROM schemas WHERE {key} RETURNING 1
        ), draft AS (
            DELETE FROM schema_drafts WHERE {key} AND owner = coalesce(%(user)s, '') RETURNING 1
        ), changed AS (
            UPDATE streams SET revision = revision + 1
            WHERE id = %(stream)s AND (EXISTS (SELECT FROM schema) OR EXISTS (SELECT FROM draft)) RETURNING 1
        )
        SELECT count(*) FROM changed
        """,
        stream=stream_id,
        name=name,
        version=version,
        user=user,
    )
    return bool(count)
