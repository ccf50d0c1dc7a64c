"""SQL statements that find events by position, time, ID or request, and that erase one."""

from datetime import datetime

from chassis.db import Transaction
from event_service.domain.cursors import Cursor

# The document of `event`. Postgres looks it up by both columns; if it joined the view instead, it might read all events
# of a stream that has many more than most.
_DOCUMENT = """
    (SELECT document FROM event_documents AS found
     WHERE found.stream_id = event.stream_id AND found.position = event.position)
"""


def list_before_position(tx: Transaction, stream_id: int, position: int, limit: int) -> list[str]:
    """Return the events before the position, newest first."""
    rows = tx.rows(
        """
        SELECT document FROM event_documents WHERE stream_id = %(stream)s AND position < %(position)s
        ORDER BY position DESC LIMIT %(limit)s
        """,
        stream=stream_id,
        position=position,
        limit=limit,
    )
    return [document for (document,) in rows]


def list_until_sequence(tx: Transaction, series_id: int, sequence: int, limit: int) -> list[str]:
    """Return the events of one name up to and including this one, newest first."""
    rows = tx.rows(
        """
        SELECT document FROM event_documents WHERE series_id = %(series_id)s AND sequence <= %(sequence)s
        ORDER BY sequence DESC LIMIT %(limit)s
        """,
        series_id=series_id,
        sequence=sequence,
        limit=limit,
    )
    return [document for (document,) in rows]


def list_from_sequence(tx: Transaction, series_id: int, sequence: int, limit: int) -> list[str]:
    """Return the events of one name from this one on, oldest first."""
    rows = tx.rows(
        """
        SELECT document FROM event_documents WHERE series_id = %(series_id)s AND sequence >= %(sequence)s
        ORDER BY sequence LIMIT %(limit)s
        """,
        series_id=series_id,
        sequence=sequence,
        limit=limit,
    )
    return [document for (document,) in rows]


def find_document(tx: Transaction, event_id: str) -> str | None:
    document: str | None = tx.value("SELECT document FROM event_documents WHERE id = %(id)s", id=event_id)
    return document


def list_newest(tx: Transaction, before: Cursor, limit: int) -> list[tuple[Cursor, str]]:
    """Return the events of all streams before the cursor, newest first, with their own cursors.

    An append of another stream that was received earlier may be committed later.
    """
    rows = tx.rows(
        f"""
        SELECT (extract(epoch FROM received_at) * 1000000)::bigint, stream_id, position, {_DOCUMENT} FROM (
            SELECT received_at, stream_id, position FROM events
            WHERE (received_at, stream_id, position)
                < (timestamptz 'epoch' + %(microseconds)s * interval '1 microsecond', %(stream_id)s, %(position)s)
            ORDER BY received_at DESC, stream_id DESC, position DESC LIMIT %(limit)s
        ) AS event ORDER BY received_at DESC, stream_id DESC, position DESC
        """,
        **before._asdict(),
        limit=limit,
    )
    return [(Cursor(*location), document) for *location, document in rows]


def count_events(tx: Transaction) -> int:
    """Return the number of events of all streams, without reading them."""
    return int(tx.value("SELECT coalesce(sum(position - first + 1), 0) FROM streams"))


def list_caused_by(tx: Transaction, request_id: str, limit: int, offset: int) -> list[str]:
    """Return the events that a request caused in all streams, oldest first."""
    rows = tx.rows(
        f"""
        SELECT {_DOCUMENT} FROM (
            SELECT stream_id, position, received_at FROM events WHERE request_id = %(request_id)s
            ORDER BY received_at, stream_id, position LIMIT %(limit)s OFFSET %(offset)s
        ) AS event ORDER BY received_at, stream_id, position
        """,
        request_id=request_id,
        limit=limit,
        offset=offset,
    )
    return [document for (document,) in rows]


def count_caused_by(tx: Transaction, request_id: str) -> int:
    return int(tx.value("SELECT count(*) FROM events WHERE request_id = %(request_id)s", request_id=request_id))


def find_first_position_since(tx: Transaction, stream_id: int, time: datetime) -> int:
    """Return the position of the first event received at or after the time; if none was, the next position."""
    return find_first_number_since(tx, -stream_id, time)


def find_first_number_since(tx: Transaction, feed_id: int, time: datetime) -> int:
    """Return the number in the feed of the first event received at or after the time; if none was, the next number."""
    sql = _SEARCH.format(**(_SERIES if feed_id > 0 else _STREAM), is_before="received_at < %(time)s")
    return int(tx.value(sql, id=abs(feed_id), time=time))


def find_last_sequence_at(tx: Transaction, series_id: int, position: int) -> int:
    """Return the sequence of the last event of that series at or before the position; 0 if there was none."""
    sql = _SEARCH.format(**_SERIES, is_before="position <= %(position)s")
    return int(tx.value(sql, id=series_id, position=position)) - 1


_SERIES = {"counters": "series", "last": "last", "group": "series_id", "number": "sequence"}
_STREAM = {"counters": "streams", "last": "position", "group": "stream_id", "number": "position"}
# A binary search among the events that are left: time, position and sequence increase together.
_SEARCH = """
    WITH RECURSIVE search AS (
        SELECT first AS low, {last} + 1 AS high FROM {counters} WHERE id = %(id)s
        UNION ALL
        SELECT CASE WHEN is_before THEN middle + 1 ELSE low END, CASE WHEN is_before THEN high ELSE middle END
        FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) AS step,
             LATERAL (SELECT {is_before} AS is_before FROM events WHERE {group} = %(id)s AND {number} = middle) AS event
    )
    SELECT low FROM search WHERE low = high
"""


def erase_event(tx: Transaction, stream: str, event_id: str, now: datetime) -> bool:
    """Remove the content of an event, also from its message if that is not published yet.

    Return False if the event does not exist. Erasing an event again changes nothing.
    """
    row = tx.find(
        """
        UPDATE events SET system = NULL, trigger = NULL, payload = NULL, erased_at = coalesce(erased_at, %(now)s)
        WHERE id = %(id)s AND stream_id = (SELECT id FROM streams WHERE name = %(stream)s)
        RETURNING series_id, version::text, iso_time(erased_at) AS erased_at
        """,
        stream=stream,
        id=event_id,
        now=now,
    )
    if row is None:
        return False
    tx.run(
        """
        UPDATE outbox
        SET body = format(
            '{"event":{"name":%%s,"version":%%s},"system":null,"trigger":null,"payload":null,"erased_at":"%%s"}',
            (SELECT to_json(name) FROM series WHERE id = %(series_id)s), %(version)s, %(erased_at)s
        )
        WHERE message_id = %(id)s
        """,
        id=event_id,
        **row,
    )
    return True
