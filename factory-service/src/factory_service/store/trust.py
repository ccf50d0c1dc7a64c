"""Which Redis may be believed: the one row that readers, writers and whoever changes it agree on."""

from collections.abc import Sequence
from typing import NamedTuple

from chassis.db import Transaction

# Held shared by every writer until its end: whoever begins to trust a Redis waits for those that did without.
_TRUST_LOCK = "hashtextextended('cache trust', 7)"


class State(NamedTuple):
    generation: str
    # None: no Redis may be believed.
    run_id: str | None


def find_state(tx: Transaction) -> State:
    return State(*tx.rows("SELECT generation::text, run_id FROM cache_trust")[0])


def guard(tx: Transaction, entities: Sequence[str]) -> State:
    """Until the transaction ends nobody reads these for the cache, and nobody else writes them."""
    locks = "".join(
        f"SELECT pg_advisory_xact_lock(hashtextextended(%(entity{number})s, 7)); " for number in range(len(entities))
    )
    rows = tx.rows(
        f"SELECT pg_advisory_xact_lock_shared({_TRUST_LOCK}); {locks}SELECT generation::text, run_id FROM cache_trust",
        **{f"entity{number}": entity for number, entity in enumerate(sorted(entities))},
    )
    return State(*rows[0])


def suspend(tx: Transaction, generation: str) -> None:
    """Nothing where somebody else was first."""
    tx.run(
        """
        UPDATE cache_trust SET generation = gen_random_uuid(), run_id = NULL
        WHERE generation = %(generation)s AND run_id IS NOT NULL
        """,
        generation=generation,
    )


def resume(tx: Transaction, generation: str, run_id: str) -> State | None:
    """None where somebody else was first. Raises Unavailable while a writer is under way."""
    tx.run("SET LOCAL lock_timeout = '300ms'")
    tx.run(f"SELECT pg_advisory_xact_lock({_TRUST_LOCK})")
    rows = tx.rows(
        """
        UPDATE cache_trust SET generation = gen_random_uuid(), run_id = %(run_id)s
        WHERE generation = %(generation)s AND run_id IS NULL RETURNING generation::text, run_id
        """,
        generation=generation,
        run_id=run_id,
    )
    return State(*rows[0]) if rows else None
