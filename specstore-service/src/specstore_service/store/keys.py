"""Statements on the key pair of the built-in token issuer."""

from collections.abc import Callable

from chassis.db import Transaction


def get_key_pair(tx: Transaction, generate: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Return (private, public) as PEM. The first caller generates the pair; all processes use the same one."""
    rows = tx.rows("SELECT private_pem, public_pem FROM signing_key")
    if not rows:
        private, public = generate()
        tx.run(
            """
            INSERT INTO signing_key (private_pem, public_pem) VALUES (%(private)s, %(public)s)
            ON CONFLICT ON CONSTRAINT signing_key_pkey DO NOTHING
            """,
            private=private,
            public=public,
        )
        rows = tx.rows("SELECT private_pem, public_pem FROM signing_key")
    return rows[0][0], rows[0][1]
