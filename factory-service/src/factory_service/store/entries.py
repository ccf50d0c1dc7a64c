"""Entries of load files: which of them have been loaded, and the sprockets created from them."""

from collections import Counter
from typing import Any

from chassis.db import Transaction
from factory_service.domain.files import Entry
from factory_service.domain.sprockets import NUMBERS


def insert_sprockets(tx: Transaction, load: str, entries: list[Entry]) -> list[dict[str, Any]]:
    """Insert and return the sprockets that have not been loaded before. The caller must lock the collection."""
    columns = zip(*(entry.sprocket for entry in entries if entry.sprocket), strict=True)
    return tx.all(
        """
        WITH new AS (
            SELECT e.*, row_number() OVER (ORDER BY position) AS nth
            FROM unnest(%(digests)s::bytea[], %(ordinals)s::integer[], %(teeth)s::integer[],
                        %(pitch_diameter)s::integer[], %(outside_diameter)s::integer[], %(pitch)s::integer[])
                 WITH ORDINALITY AS e (digest, ordinal, teeth, pitch_diameter, outside_diameter, pitch, position)
            WHERE NOT EXISTS (SELECT FROM loaded l WHERE l.digest = e.digest AND l.ordinal = e.ordinal)
        ), last AS (
            UPDATE collections SET last_id = last_id + (SELECT count(*) FROM new) WHERE name = 'sprockets'
            RETURNING last_id - (SELECT count(*) FROM new) AS id
        ), inserted AS (
            INSERT INTO sprockets (id, teeth, pitch_diameter, outside_diameter, pitch)
            SELECT last.id + nth, teeth, pitch_diameter, outside_diameter, pitch FROM new, last ORDER BY nth
            RETURNING id, teeth, pitch_diameter, outside_diameter, pitch
        ), recorded AS (
            INSERT INTO loaded (digest, ordinal, collection, id)
            SELECT digest, ordinal, 'sprockets', last.id + nth FROM new, last
        )
        SELECT id, teeth, pitch_diameter, outside_diameter, pitch FROM inserted ORDER BY id
        """,
        digests=[entry.digest for entry in entries],
        ordinals=assign_ordinals(tx, load, [entry.digest for entry in entries]),
        **{name: list(column) for name, column in zip(NUMBERS, columns, strict=True)},
    )


def assign_ordinals(tx: Transaction, load: str, digests: list[bytes]) -> list[int]:
    """Return for each entry how many equal entries precede it in the file.

    Must be called exactly once for each entry, in the order of the file.
    """
    counts = Counter(digests)
    rows = tx.rows(
        """
        INSERT INTO load_ordinals AS existing (load_id, digest, count)
        SELECT %(load)s, digest, count FROM unnest(%(digests)s::bytea[], %(counts)s::integer[]) AS n (digest, count)
        ON CONFLICT ON CONSTRAINT load_ordinals_pkey DO UPDATE SET count = existing.count + excluded.count
        RETURNING digest, count
        """,
        load=load,
        digests=list(counts),
        counts=list(counts.values()),
    )
    next_by_digest = {bytes(digest): count - counts[bytes(digest)] for digest, count in rows}
    ordinals = []
    for digest in digests:
        ordinals.append(next_by_digest[digest])
        next_by_digest[digest] += 1
    return ordinals


def is_loaded(tx: Transaction, digest: bytes, ordinal: int) -> bool:
    return bool(
        tx.value(
            "SELECT EXISTS (SELECT FROM loaded WHERE digest = %(digest)s AND ordinal = %(ordinal)s)",
            digest=digest,
            ordinal=ordinal,
        )
    )


def insert_loaded_entry(tx: Transaction, digest: bytes, ordinal: int, collection: str, id_: int) -> None:
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
