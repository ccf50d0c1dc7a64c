"""What a route can ask of the app that it belongs to: a transaction, who asks, one effect for each key."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request

from chassis import strictjson
from chassis.db import Database, Transaction
from chassis.errors import Problem
from chassis.runtime.config import WebSettings
from chassis.web import idempotency
from chassis.web.metrics import Metrics

JSON_TYPE = "application/json; charset=utf-8"

Render = Callable[[Problem], Response]


@dataclass(frozen=True)
class Running:
    """What belongs to one app while it runs."""

    service: str
    version: str
    settings: WebSettings
    maybe_database: Database | None
    metrics: Metrics
    render: Render
    started_at: float
    # Without any of a group it cannot answer at all: down, not degraded.
    vital: tuple[tuple[str, ...], ...] = (("postgres",),)
    # In the fingerprint of a request with an Idempotency-Key, as its method, path and body are.
    idempotent_headers: tuple[str, ...] = ()

    @property
    def database(self) -> Database:
        if self.maybe_database is None:
            raise RuntimeError(f"{self.service} has no database")
        return self.maybe_database


def running() -> Running:
    return current_app.extensions["chassis"]


def transaction() -> AbstractContextManager[Transaction]:
    """Of the app that answers this request."""
    return running().database.transaction()


def username() -> str:
    """The authenticated user, as the gateway states it; empty where a service is called without the gateway."""
    return request.headers.get("X-Authenticated-User", "")


def role() -> str:
    """The user's role (`admin`, `writer`, `reader` or `runner`), as the gateway states it; empty without the gateway.

    Grant rights only for a role that is named: an empty one has none.
    """
    return request.headers.get("X-Authenticated-Role", "")


def json_text(text: str | bytes, status: int = 200) -> Response:
    """An answer that is JSON already."""
    return Response(text, status, content_type=JSON_TYPE)


def once(make: Callable[[Transaction], Any], *, sent: bytes | None = None) -> Response:
    """The answer of `make`, in one transaction with it, and once for each Idempotency-Key that came with it.

    `sent` stands for a body that was read already, as a stream.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        with transaction() as tx:
            return current_app.make_response(make(tx))
    user, key = username(), idempotency.checked(key)
    print_ = fingerprint(_what_was_sent() if sent is None else sent)
    with transaction() as tx:
        known = idempotency.claim(tx, user, key, print_, running().idempotent_headers)
        if known:
            return Response(known.body, known.status, {**known.headers, "Idempotent-Replayed": "true"})
        response = current_app.make_response(make(tx))
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            return response
        headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
        idempotency.keep(tx, user, key, print_, idempotency.Answer(response.status_code, headers, response.get_data()))
    return response


def fingerprint(sent: bytes) -> str:
    """Of this request with `sent` for its body: what a repetition with the same Idempotency-Key must equal."""
    headers = {name: request.headers[name] for name in running().idempotent_headers if name in request.headers}
    return idempotency.fingerprint(request.method, request.full_path, sent, headers)


def _what_was_sent() -> bytes:
    """Of a form its fields and files, not its boundary."""
    if not request.form and not request.files:
        return request.get_data()
    sent: list[Any] = [*request.form.items(multi=True)]
    for name, file in request.files.items(multi=True):
        content = hashlib.file_digest(file.stream, "sha256")  # type: ignore[arg-type]
        sent.append((name, file.filename, content.hexdigest()))
        file.stream.seek(0)
    return strictjson.dumps(sent).encode()
