"""SQL statements for streams and series; a series contains the events of one name in one stream."""

from collections.abc import Sequence
from typing import Any

from chassis.db import Transaction

_SUMMARY = """
    streams.name AS stream, producer, position,
    coalesce((SELECT json_object_agg(series.name, series.last - series.first + 1 ORDER BY series.name)::text
              FROM series WHERE stream_id = streams.id), '{}') AS events,
    iso_time(first_at) AS first_at,
    iso_time(last_at) AS last_at
"""


def list_streams(tx: Transaction, prefix: str, after: str, limit: int, offset: int) -> list[dict[str, Any]]:
    """Return a page of the streams with the prefix whose names follow `after`, ordered by name."""
    return tx.all(
        f"""
        SELECT {_SUMMARY} FROM (
            SELECT * FROM streams
            WHERE producer IS NOT NULL AND name > %(after)s AND starts_with(name, %(prefix)s)
            ORDER BY name LIMIT %(limit)s OFFSET %(offset)s
        ) AS streams ORDER BY streams.name
        """,
        prefix=prefix,
        after=after,
        limit=limit,
        offset=offset,
    )


def count_streams(tx: Transaction, prefix: str) -> int:
    return int(
        tx.value(
            "SELECT count(*) FROM streams WHERE producer IS NOT NULL AND starts_with(name, %(prefix)s)", prefix=prefix
        )
    )


def find_stream_summary(tx: Transaction, name: str) -> dict[str, Any] | None:
    return tx.find(f"SELECT {_SUMMARY} FROM streams WHERE streams.name = %(name)s AND producer IS NOT NULL", name=name)


def find_stream(tx: Transaction, name: str) -> dict[str, Any] | None:
    """Return ID, owner and position, or None for a stream that has no events yet and is not the stream of a service."""
    return tx.find("SELECT id, owner, position FROM streams WHERE name = %(name)s AND producer IS NOT NULL", name=name)


def lock_stream(tx: Transaction, name: str) -> None:
    """Keep other transactions from appending to the stream, if it exists, until this one ends."""
    tx.run("SELECT 1 FROM streams WHERE name = %(name)s FOR NO KEY UPDATE", name=name)


def lock_owner(tx: Transaction, name: str) -> dict[str, Any] | None:
    """Return ID, producer and owner, also of a stream without events; appends wait until `tx` ends."""
    return tx.find("SELECT id, producer, owner FROM streams WHERE name = %(name)s FOR NO KEY UPDATE", name=name)


def find_range(tx: Transaction, stream: str, name: str | None) -> dict[str, Any] | None:
    """Return ID and first sequence of a series or, if `name` is None, ID and first position of the stream.

    Events before the first one were deleted. Return None if there never were events.
    """
    if name is None:
        return tx.find("SELECT id, first FROM streams WHERE name = %(stream)s", stream=stream)
    return tx.find(
        """
        SELECT series.id, series.first FROM series JOIN streams ON streams.id = stream_id
        WHERE streams.name = %(stream)s AND series.name = %(name)s
        """,
        stream=stream,
        name=name,
    )


def lock_series(tx: Transaction, stream_id: int, name: str) -> dict[str, Any] | None:
    """Return ID, first and last sequence; neither appends nor deletions change them until `tx` ends."""
    return tx.find(
        "SELECT id, first, last FROM series WHERE stream_id = %(stream)s AND name = %(name)s FOR SHARE",
        stream=stream_id,
        name=name,
    )


def list_last_numbers(tx: Transaction, keys: Sequence[tuple[str, str | None]]) -> list[int]:
    """Return the last sequence for each (stream, event name), the last position for each (stream, None).

    It is 0 if the stream or the name has no events.
    """
    rows = tx.rows(
        """
        SELECT coalesce(CASE WHEN requested.name IS NULL THEN streams.position ELSE series.last END, 0)
        FROM unnest(%(streams)s::text[], %(names)s::text[]) WITH ORDINALITY AS requested (stream, name, number)
        LEFT JOIN streams ON streams.name = requested.stream
        LEFT JOIN series ON series.stream_id = streams.id AND series.name = requested.name
        ORDER BY requested.number
        """,
        streams=[stream for stream, _ in keys],
        names=[name for _, name in keys],
    )
    return [last for (last,) in rows]
