"""What was read of files that are being loaded, and what comes of it."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chassis.db import Transaction
from factory_service.domain.charts import SERIES
from factory_service.domain.files import Entry, Part

# Below every number that is drawn for production: what is sent to the factory later wins.
_BEFORE_ALL = -(2**40)


def keep_read(tx: Transaction, id_: str, found: list[Part | Entry]) -> None:
    parts = [(id_, p.entry, p.series, p.number, _array(p.values)) for p in found if isinstance(p, Part)]
    if parts:
        tx.insert_many('INSERT INTO load_parts (load_id, entry, series, number, "values") VALUES %s', parts)
    entries = [entry for entry in found if isinstance(entry, Entry)]
    ordinals = _next_ordinals(tx, id_, Counter(entry.digest for entry in entries))
    rows = [
        (id_, e.number, e.digest, next(ordinals[e.digest]), e.parts, None if e.sprocket is None else _array(e.sprocket))
        for e in entries
    ]
    if rows:
        tx.insert_many("INSERT INTO load_entries (load_id, number, digest, ordinal, parts, sprocket) VALUES %s", rows)


def _next_ordinals(tx: Transaction, id_: str, counts: Mapping[bytes, int]) -> dict[bytes, Iterator[int]]:
    rows = tx.rows(
        """
        INSERT INTO load_equals AS known (load_id, digest, count)
        SELECT %(id)s, digest, count FROM unnest(%(digests)s::bytea[], %(counts)s::integer[]) AS n (digest, count)
        ON CONFLICT ON CONSTRAINT load_equals_pkey DO UPDATE SET count = known.count + excluded.count
        RETURNING digest, count
        """,
        id=id_,
        digests=list(counts),
        counts=list(counts.values()),
    )
    return {bytes(digest): itertools.count(count - counts[bytes(digest)]) for digest, count in rows}


def find_entry(tx: Transaction, id_: str, number: int) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT digest, ordinal, parts, sprocket, factory_id FROM load_entries
        WHERE load_id = %(id)s AND number = %(number)s
        """,
        id=id_,
        number=number,
    )


def insert_sprockets(tx: Transaction, id_: str, first: int, most: int) -> list[dict[str, Any]]:
    """Those among so many entries that were not loaded before. Nobody else may be adding any."""
    return tx.all(
        """
        WITH new AS (
            SELECT number, digest, ordinal, sprocket AS s, row_number() OVER (ORDER BY number) AS place
            FROM load_entries e WHERE load_id = %(id)s AND number >= %(first)s AND number < %(first)s + %(most)s
              AND NOT EXISTS (SELECT FROM loaded l WHERE l.digest = e.digest AND l.ordinal = e.ordinal)
        ), last AS (
            UPDATE collections SET last_id = last_id + (SELECT count(*) FROM new) WHERE name = 'sprockets'
            RETURNING last_id - (SELECT count(*) FROM new) AS id
        ), made AS (
            INSERT INTO sprockets (id, teeth, pitch_diameter, outside_diameter, pitch)
            SELECT last.id + place, s[1], s[2], s[3], s[4] FROM new, last ORDER BY place
            RETURNING id, teeth, pitch_diameter, outside_diameter, pitch
        ), noted AS (
            INSERT INTO loaded (digest, ordinal, collection, id)
            SELECT digest, ordinal, 'sprockets', last.id + place FROM new, last
        )
        SELECT id, teeth, pitch_diameter, outside_diameter, pitch FROM made ORDER BY id
        """,
        id=id_,
        first=first,
        most=most,
    )


def count_entries(tx: Transaction, id_: str, first: int, most: int) -> int:
    return int(
        tx.value(
            """
            SELECT count(*) FROM load_entries
            WHERE load_id = %(id)s AND number >= %(first)s AND number < %(first)s + %(most)s
            """,
            id=id_,
            first=first,
            most=most,
        )
    )


def insert_loaded(tx: Transaction, digest: bytes, ordinal: int, collection: str, thing: int) -> None:
    tx.run(
        """
        INSERT INTO loaded (digest, ordinal, collection, id)
        VALUES (%(digest)s, %(ordinal)s, %(collection)s, %(id)s)
        """,
        digest=bytes(digest),
        ordinal=ordinal,
        collection=collection,
        id=thing,
    )


def is_loaded(tx: Transaction, digest: bytes, ordinal: int) -> bool:
    return bool(
        tx.value(
            "SELECT EXISTS (SELECT FROM loaded WHERE digest = %(digest)s AND ordinal = %(ordinal)s)",
            digest=bytes(digest),
            ordinal=ordinal,
        )
    )


def begin_factory(tx: Transaction, id_: str, entry: int, factory_id: int) -> None:
    tx.run(
        "UPDATE load_entries SET factory_id = %(factory)s WHERE load_id = %(id)s AND number = %(entry)s",
        id=id_,
        entry=entry,
        factory=factory_id,
    )


def insert_part(tx: Transaction, id_: str, entry: int, number: int, factory_id: int) -> None:
    """The same part of all three arrays becomes points; of equal times the last stays."""
    actual, goal, time = range(len(SERIES))
    tx.run(
        f"""
        INSERT INTO points AS known (factory_id, time, actual, goal, sent)
        SELECT DISTINCT ON (v.time) %(factory)s, v.time, v.actual, v.goal, {_BEFORE_ALL} + %(number)s
        FROM load_parts a
             JOIN load_parts g USING (load_id, entry, number)
             JOIN load_parts t USING (load_id, entry, number),
             unnest(a."values", g."values", t."values") WITH ORDINALITY AS v (actual, goal, time, place)
        WHERE load_id = %(id)s AND entry = %(entry)s AND number = %(number)s
          AND a.series = {actual} AND g.series = {goal} AND t.series = {time}
        ORDER BY v.time, v.place DESC
        ON CONFLICT ON CONSTRAINT points_pkey DO UPDATE
        SET actual = excluded.actual, goal = excluded.goal, sent = excluded.sent WHERE known.sent < excluded.sent
        """,
        id=id_,
        entry=entry,
        number=number,
        factory=factory_id,
    )


def count_points(tx: Transaction, factory_id: int) -> int:
    return int(tx.value("SELECT count(*) FROM points WHERE factory_id = %(id)s", id=factory_id))


def _array(values: list[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
