"""Idempotency keys: a request has one effect per key, and every repetition returns the first response."""

import hashlib
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from flask.typing import ResponseReturnValue

from chassis import strictjson
from chassis.db import Transaction
from chassis.db.idempotency_keys import RETENTION_HOURS
from chassis.errors import Busy, Conflict, Invalid
from chassis.web.app import this_app, transaction, username

_VALID_KEY = re.compile(r"[!-~]{1,255}\Z")


def run_idempotent(run: Callable[[Transaction], ResponseReturnValue], *, body_digest: bytes | None = None) -> Response:
    """Return the response of `run`, which is called in a transaction and only once per user and Idempotency-Key.

    `body_digest` represents a body that was already read as a stream. Raises the errors of `request_key` and `claim`.
    """
    key = request_key()
    if key is None:
        with transaction() as tx:
            return current_app.make_response(run(tx))
    fingerprint = request_fingerprint(_request_content() if body_digest is None else body_digest)
    with transaction() as tx:
        if replayed := claim(tx, key, fingerprint):
            return replayed
        response = current_app.make_response(run(tx))
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            store_response(tx, key, fingerprint, response)
    return response


def request_key() -> str | None:
    """Return the request's Idempotency-Key, None if it has none; raise Invalid if it is malformed."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _VALID_KEY.match(key):
        raise Invalid.field("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def request_fingerprint(content: bytes) -> str:
    """Return the digest of this request with `content` as its body; a repetition must have the same digest."""
    names = this_app().idempotent_headers
    headers = [f"{name}: {request.headers[name]}".encode() for name in names if name in request.headers]
    digest = hashlib.sha256()
    for part in (request.method.encode(), request.full_path.encode(), content, *headers):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _request_content() -> bytes:
    """Return the body, or a form's fields and files: a repetition of a form may use a different boundary."""
    if not request.form and not request.files:
        return request.get_data()
    content: list[Any] = [*request.form.items(multi=True)]
    for name, file in request.files.items(multi=True):
        digest = hashlib.file_digest(file.stream, "sha256")  # type: ignore[arg-type]
        content.append((name, file.filename, digest.hexdigest()))
        file.stream.seek(0)
    return strictjson.dumps(content).encode()


def claim(tx: Transaction, key: str, fingerprint: str) -> Response | None:
    """Return the stored response of the key, or None for the first request, which holds the key until `tx` ends.

    Raises Busy while the first request is in progress, and Conflict (422) if the key was used for a different one.
    """
    is_locked = tx.value(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || %(name)s, 0))",
        name=f"\x01{username()}\x01{key}",
    )
    if not is_locked:
        raise Busy("a request with this Idempotency-Key is still in progress; retry after it completes")
    stored = tx.find(
        """
        SELECT fingerprint, status, headers, body FROM idempotency_keys
        WHERE username = %(username)s AND key = %(key)s AND created_at > now() - make_interval(hours => %(hours)s)
        """,
        username=username(),
        key=key,
        hours=RETENTION_HOURS,
    )
    if stored is None:
        return None
    if stored["fingerprint"] != fingerprint:
        names = " or ".join(this_app().idempotent_headers)
        header_hint = f", or with another {names}" if names else ""
        raise Conflict(
            f"this Idempotency-Key was already used for a different method, path or body{header_hint}", status=422
        )
    headers = {**strictjson.loads(stored["headers"].encode()), "Idempotent-Replayed": "true"}
    return Response(bytes(stored["body"]), stored["status"], headers)


def store_response(tx: Transaction, key: str, fingerprint: str, response: Response) -> None:
    """Store the response in the transaction that has the effect, so that both are committed or neither."""
    headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
    tx.run(
        """
        INSERT INTO idempotency_keys (username, key, fingerprint, status, headers, body)
        VALUES (%(username)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s)
        ON CONFLICT ON CONSTRAINT idempotency_keys_pkey
        DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
                      headers = excluded.headers, body = excluded.body, created_at = now()
        """,
        username=username(),
        key=key,
        fingerprint=fingerprint,
        status=response.status_code,
        headers=strictjson.dumps(headers),
        body=response.get_data(),
    )
