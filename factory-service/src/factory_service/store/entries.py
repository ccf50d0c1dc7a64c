"""Entries of files that are being loaded: what was loaded of them before, and what comes of them."""

from collections import Counter
from typing import Any

from chassis.db import Transaction
from factory_service.domain.files import Entry
from factory_service.domain.sprockets import NUMBERS


def insert_sprockets(tx: Transaction, load: str, entries: list[Entry]) -> list[dict[str, Any]]:
    """Those that were not loaded before. The caller holds the lock of the collection."""
    columns = zip(*(entry.sprocket for entry in entries if entry.sprocket), strict=True)
    return tx.all(
        """
        WITH new AS (
            SELECT e.*, row_number() OVER (ORDER BY place) AS nth
            FROM unnest(%(digests)s::bytea[], %(ordinals)s::integer[], %(teeth)s::integer[],
                        %(pitch_diameter)s::integer[], %(outside_diameter)s::integer[], %(pitch)s::integer[])
                 WITH ORDINALITY AS e (digest, ordinal, teeth, pitch_diameter, outside_diameter, pitch, place)
            WHERE NOT EXISTS (SELECT FROM loaded l WHERE l.digest = e.digest AND l.ordinal = e.ordinal)
        ), last AS (
            UPDATE collections SET last_id = last_id + (SELECT count(*) FROM new) WHERE name = 'sprockets'
            RETURNING last_id - (SELECT count(*) FROM new) AS id
        ), made AS (
            INSERT INTO sprockets (id, teeth, pitch_diameter, outside_diameter, pitch)
            SELECT last.id + nth, teeth, pitch_diameter, outside_diameter, pitch FROM new, last ORDER BY nth
            RETURNING id, teeth, pitch_diameter, outside_diameter, pitch
        ), noted AS (
            INSERT INTO loaded (digest, ordinal, collection, id)
            SELECT digest, ordinal, 'sprockets', last.id + nth FROM new, last
        )
        SELECT id, teeth, pitch_diameter, outside_diameter, pitch FROM made ORDER BY id
        """,
        digests=[entry.digest for entry in entries],
        ordinals=next_ordinals(tx, load, [entry.digest for entry in entries]),
        **{name: list(column) for name, column in zip(NUMBERS, columns, strict=True)},
    )


def next_ordinals(tx: Transaction, load: str, digests: list[bytes]) -> list[int]:
    """Of each entry how many equal ones precede it in the file. To be called once for each entry, in their order."""
    counts = Counter(digests)
    rows = tx.rows(
        """
        INSERT INTO load_ordinals AS known (load_id, digest, count)
        SELECT %(load)s, digest, count FROM unnest(%(digests)s::bytea[], %(counts)s::integer[]) AS n (digest, count)
        ON CONFLICT ON CONSTRAINT load_ordinals_pkey DO UPDATE SET count = known.count + excluded.count
        RETURNING digest, count
        """,
        load=load,
        digests=list(counts),
        counts=list(counts.values()),
    )
    following = {bytes(digest): count - counts[bytes(digest)] for digest, count in rows}
    ordinals = []
    for digest in digests:
        ordinals.append(following[digest])
        following[digest] += 1
    return ordinals


def is_loaded(tx: Transaction, digest: bytes, ordinal: int) -> bool:
    return bool(
        tx.value(
            "SELECT EXISTS (SELECT FROM loaded WHERE digest = %(digest)s AND ordinal = %(ordinal)s)",
            digest=digest,
            ordinal=ordinal,
        )
    )


def insert_loaded(tx: Transaction, digest: bytes, ordinal: int, collection: str, id_: int) -> None:
    tx.run(
        """
        INSERT INTO loaded (digest, ordinal, collection, id)
        VALUES (%(digest)s, %(ordinal)s, %(collection)s, %(id)s)
        """,
        digest=digest,
        ordinal=ordinal,
        collection=collection,
        id=id_,
    )
