"""One effect for each Idempotency-Key, and the first answer again for every repetition."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Conflict, Invalid

_VISIBLE = re.compile(r"[!-~]{1,255}\Z")
_HOURS_KEPT = 24


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def checked(key: str) -> str:
    if not _VISIBLE.match(key):
        raise Invalid.field("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def fingerprint(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> str:
    """What must be equal for a repetition to be one; `headers` are those that carry meaning."""
    digest = hashlib.sha256()
    fields = [f"{name}: {value}".encode() for name, value in headers.items()]
    for part in (method.encode(), path.encode(), body, *fields):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def claim(tx: Transaction, username: str, key: str, print_: str, header_names: Sequence[str] = ()) -> Answer | None:
    """None: this transaction is the first, and holds the key until it ends. An Answer: give it again.

    Raises Conflict: 409 while the first still runs, 422 when the key was used for a different request, where
    `header_names` are those that may differ.
    """
    held = tx.value(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || %(name)s, 0))",
        name=f"\x01{username}\x01{key}",
    )
    if not held:
        raise Conflict("a request with this Idempotency-Key is still under way; try again when it is done")
    known = tx.find(
        """
        SELECT fingerprint, status, headers, body FROM idempotency_keys
        WHERE username = %(username)s AND key = %(key)s AND created_at > now() - make_interval(hours => %(hours)s)
        """,
        username=username,
        key=key,
        hours=_HOURS_KEPT,
    )
    if known is None:
        return None
    if known["fingerprint"] != print_:
        headers = f", or for another {' or '.join(header_names)}" if header_names else ""
        raise Conflict(f"this Idempotency-Key was used for another method, path or body{headers}", status=422)
    return Answer(known["status"], strictjson.loads(known["headers"].encode()), bytes(known["body"]))


def keep(tx: Transaction, username: str, key: str, print_: str, answer: Answer) -> None:
    """Together with the effect, or not at all."""
    tx.run(
        """
        INSERT INTO idempotency_keys (username, key, fingerprint, status, headers, body)
        VALUES (%(username)s, %(key)s, %(print)s, %(status)s, %(headers)s, %(body)s)
        ON CONFLICT ON CONSTRAINT idempotency_keys_pkey
        DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
                      headers = excluded.headers, body = excluded.body, created_at = now()
        """,
        username=username,
        key=key,
        print=print_,
        status=answer.status,
        headers=strictjson.dumps(answer.headers),
        body=answer.body,
    )


def prune(tx: Transaction, _now: datetime) -> None:
    """Forget the responses that are older than a key lives."""
    tx.run(
        "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(hours => %(hours)s)", hours=_HOURS_KEPT
    )
