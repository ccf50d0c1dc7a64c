"""Statements that read streams and events; pages of events come as finished JSON."""

from dataclasses import dataclass
from typing import Any

from chassis.db import Transaction

STREAM = """
    stream AS MATERIALIZED (
        SELECT id, position, to_json(name)::text AS name, to_json(producer)::text AS producer
        FROM streams WHERE name = %(stream)s AND producer IS NOT NULL
    )
"""

# An event without its closing brace.
OPEN_ITEM = """
    open_item(event.id, event.body, stream.name, event.sequence, event.position, stream.producer, event.user_json,
              event.request_id, event.received_at)
"""
ITEM = f"{OPEN_ITEM} || '}}'"

# No event is called that.
_ALL_NAMES = "\t"


@dataclass(frozen=True)
class Page:
    """`last` is the newest sequence (or position) at that moment, whether in the page or not."""

    text: str
    last: int

    @property
    def is_empty(self) -> bool:
        return self.text == "[]"


def find_page_for(tx: Transaction, stream: str, name: str, consumer: str, limit: int) -> Page | None:
    """What the consumer has not acknowledged, replayed events first. None for an unknown stream."""
    rows = tx.rows(
        "SELECT newest, page FROM page_for(%(stream)s, %(name)s, %(consumer)s, %(limit)s)",
        stream=stream,
        name=name,
        consumer=consumer,
        limit=limit,
    )
    return Page(f"[{rows[0][1] or ''}]", rows[0][0]) if rows else None


def find_page_from(tx: Transaction, stream: str, position: int, limit: int) -> str | None:
    """The stream as it is, from that position on. None for an unknown one."""
    rows = tx.rows(
        "SELECT page FROM page_from(%(stream)s, %(position)s, %(limit)s)",
        stream=stream,
        position=position,
        limit=limit,
    )
    return f"[{rows[0][0] or ''}]" if rows else None


def find_event(tx: Transaction, stream: str, event_id: str) -> str | None:
    text: str | None = tx.value(
        f"""
        WITH {STREAM}
        SELECT items_of(stream.id, place.run_position, place.position, place.position, stream.name, stream.producer)
        FROM stream JOIN place_of(%(id)s) AS place ON place.stream_id = stream.id
        """,
        stream=stream,
        id=event_id,
    )
    return text


def find_position(tx: Transaction, stream: str) -> int | None:
    """Of the stream's last event; None for an unknown stream."""
    position: int | None = tx.value(
        "SELECT position FROM streams WHERE name = %(stream)s AND producer IS NOT NULL", stream=stream
    )
    return position


def last_sequence_at(tx: Transaction, stream: str, name: str, position: int) -> int:
    """Of that name, not beyond that position; 0 where there is none."""
    return (
        tx.value(
            """
            SELECT sequence - greatest(position - %(position)s, 0) FROM runs
            WHERE stream_id = (SELECT id FROM streams WHERE name = %(stream)s) AND position - count < %(position)s
              AND series_id = (SELECT series.id FROM series JOIN streams ON streams.id = stream_id
                               WHERE streams.name = %(stream)s AND series.name = %(name)s)
              -- What the index bounds.
              AND position < %(position)s + 100
            ORDER BY position DESC LIMIT 1
            """,
            stream=stream,
            name=name,
            position=position,
        )
        or 0
    )


def list_after(tx: Transaction, stream: str, name: str | None, after: int, limit: int) -> list[tuple[int, int, str]]:
    """(number, position, JSON) of events whose number is greater: the sequence of one name, or the position of all."""
    number, found = "position", "events_of_stream((SELECT id FROM stream), %(after)s, %(limit)s)"
    if name is not None:
        series = "SELECT id FROM series WHERE stream_id = (SELECT id FROM stream) AND name = %(name)s"
        number, found = "sequence", f"events_of_series(({series}), %(after)s, %(limit)s)"
    return tx.rows(
        f"""
        WITH {STREAM} SELECT event.{number}, event.position, {ITEM} FROM {found} AS event, stream
        ORDER BY event.position
        """,
        stream=stream,
        name=name,
        after=after,
        limit=limit,
    )


def list_last(tx: Transaction, wanted: list[tuple[str, str | None]]) -> dict[tuple[str, str | None], int]:
    """The newest sequence of a stream's events of that name; of all (None) the newest position."""
    rows = tx.rows(
        """
        SELECT wanted.number, CASE WHEN wanted.name = %(all_names)s THEN streams.position ELSE series.last END
        FROM unnest(string_to_array(%(streams)s, E'\\n'), string_to_array(%(names)s, E'\\n'))
             WITH ORDINALITY AS wanted (stream, name, number)
        JOIN streams ON streams.name = wanted.stream
        LEFT JOIN series ON series.stream_id = streams.id AND series.name = wanted.name
        """,
        streams="\n".join(stream for stream, _ in wanted),
        names="\n".join(_ALL_NAMES if name is None else name for _, name in wanted),
        all_names=_ALL_NAMES,
    )
    return {wanted[number - 1]: last or 0 for number, last in rows}


_SUMMARY = """
    streams.name AS stream, producer, position,
    coalesce((SELECT json_object_agg(series.name, series.last ORDER BY series.name)::text
              FROM series WHERE stream_id = streams.id), '{}') AS events,
    iso_time(first_at) AS first_at,
    iso_time(last_at) AS last_at
"""


def list_streams(tx: Transaction, limit: int, offset: int) -> list[dict[str, Any]]:
    return tx.all(
        f"""
        SELECT {_SUMMARY} FROM streams WHERE producer IS NOT NULL
        ORDER BY streams.name LIMIT %(limit)s OFFSET %(offset)s
        """,
        limit=limit,
        offset=offset,
    )


def count_streams(tx: Transaction) -> int:
    return int(tx.value("SELECT count(*) FROM streams WHERE producer IS NOT NULL"))


def find_stream(tx: Transaction, name: str) -> dict[str, Any] | None:
    return tx.find(f"SELECT {_SUMMARY} FROM streams WHERE streams.name = %(name)s AND producer IS NOT NULL", name=name)
