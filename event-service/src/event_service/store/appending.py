"""Statements that append: any number of events to any number of streams at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from chassis.messaging import outbox
from event_service.domain.events import Append
from event_service.domain.ownership import Caller

# No name and no JSON text has one of these in it: a column of an array travels as lines, many times faster; and those
# of a run's events are parted by another.
_LINE, _RUN = "\n", "\x1e"

_APPEND = """
    SELECT append_events(
        %(streams)s, %(producers)s, %(users)s, %(admins)s, %(revisions)s, %(counts)s,
        %(kind_streams)s, %(kind_names)s, %(kind_counts)s, %(kind_keys)s, %(kind_types)s, %(kind_headers)s,
        %(kinds)s, %(run_counts)s, %(behind_in_stream)s, %(behind_in_series)s, %(ids)s, %(request_ids)s, %(bodies)s,
        %(expected)s, %(publish)s
    )
"""


def append_events(tx: Transaction, appends: Sequence[Append], *, publish: bool) -> set[str]:
    """The streams that took their events. The others have another producer, another owner, other schemas or another

    position. Each stream may have one producer, one caller, one revision and one expected position among the appends.
    """
    rows = tx.rows(_APPEND, **_columns(appends), publish=publish)
    return {name for (name,) in rows}


def _columns(appends: Sequence[Append]) -> dict[str, Any]:
    # A stream has one producer, one caller and one revision among the appends.
    streams = {append.stream: append for append in appends}
    in_stream = dict.fromkeys(streams, 0)
    kinds: dict[tuple[str, str], int] = {}
    in_series: list[int] = []
    runs = []
    # Backwards: what comes after an event is known when it is met.
    for append in reversed(appends):
        stream = append.stream
        for run in reversed(append.runs):
            kind = kinds.setdefault((stream, run.name), len(kinds))
            if kind == len(in_series):
                in_series.append(0)
            behind = in_stream[stream], in_series[kind]
            runs.append((kind + 1, run.size, *behind, run.id, append.request_id, run.lines))
            in_stream[stream] += run.size
            in_series[kind] += run.size
    return {
        "streams": _lines(streams),
        "producers": _lines(append.producer for append in streams.values()),
        "users": _lines(append.caller.user or "" for append in streams.values()),
        "admins": _lines("t" if append.caller.is_admin else "f" for append in streams.values()),
        "revisions": _numbers(append.revision for append in streams.values()),
        "counts": _numbers(in_stream.values()),
        "expected": appends[0].expected_position,
        "kind_counts": _numbers(in_series),
        **_kind_columns(kinds),
        **_run_columns(runs[::-1]),
    }


def _run_columns(runs: list[tuple[int, int, int, int, str, str, str]]) -> dict[str, str]:
    kinds, counts, behind_in_stream, behind_in_series, ids, request_ids, lines = zip(*runs, strict=True)
    return {
        "kinds": _numbers(kinds),
        "run_counts": _numbers(counts),
        "behind_in_stream": _numbers(behind_in_stream),
        "behind_in_series": _numbers(behind_in_series),
        "ids": _lines(ids),
        "request_ids": _lines(request_ids),
        "bodies": _RUN.join(lines),
    }


def _kind_columns(kinds: Iterable[tuple[str, str]]) -> dict[str, str]:
    keys = [outbox.key_part(name) for _, name in kinds]
    return {
        "kind_streams": _lines(stream for stream, _ in kinds),
        "kind_names": _lines(name for _, name in kinds),
        "kind_keys": _lines(f"{outbox.key_part(stream)}.{key}" for (stream, _), key in zip(kinds, keys, strict=True)),
        "kind_types": _lines(keys),
        "kind_headers": _lines(strictjson.dumps({"stream": stream, "event": name}) for stream, name in kinds),
    }


def _lines(texts: Iterable[str]) -> str:
    return _LINE.join(texts)


def _numbers(numbers: Iterable[int]) -> str:
    return _LINE.join(map(str, numbers))


def lock_stream(tx: Transaction, name: str) -> dict[str, Any] | None:
    """Nobody else appends to it until this transaction ends. None while it was never written to."""
    return tx.find(
        "SELECT id, producer, owner, position, revision FROM streams WHERE name = %(name)s FOR NO KEY UPDATE",
        name=name,
    )


def event_exists(tx: Transaction, event_id: str) -> bool:
    return bool(tx.value("SELECT 1 FROM place_of(%(id)s)", id=event_id))


def list_schemas(tx: Transaction, stream_id: int) -> dict[tuple[str, int], str]:
    rows = tx.rows("SELECT name, version, document FROM schemas WHERE stream_id = %(id)s", id=stream_id)
    return {(name, version): document for name, version, document in rows}


def put_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> bool:
    """Return False if the stream has events and belongs to another user, or to no user yet.

    From the commit on, appends to the stream that were checked against other schemas are not taken.
    """
    return bool(
        tx.value(
            _PUT_SCHEMA,
            stream=stream,
            name=name,
            version=version,
            document=document,
            user=caller.user,
            is_admin=caller.is_admin,
        )
    )


_PUT_SCHEMA = """
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


def adopt_drafts(tx: Transaction, stream_id: int, user: str | None) -> None:
    """Turn the drafts of this user into schemas of the stream, and delete those of others."""
    tx.run(
        """
        WITH drafts AS (
            DELETE FROM schema_drafts WHERE stream_id = %(stream)s RETURNING owner, name, version, document
        )
        INSERT INTO schemas (stream_id, name, version, document)
        SELECT %(stream)s, name, version, document FROM drafts WHERE owner = coalesce(%(user)s, '')
        ON CONFLICT ON CONSTRAINT schemas_pkey DO UPDATE SET document = excluded.document
        """,
        stream=stream_id,
        user=user,
    )
