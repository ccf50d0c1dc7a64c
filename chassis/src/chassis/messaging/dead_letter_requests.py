"""Requests of web processes about dead letters, which a worker performs; this module does not import pika."""

import json
from typing import Any

from chassis.db import Transaction


def request(tx: Transaction, action: str, queue: str, message_id: str | None) -> str:
    """Let a worker list, retry or discard the dead letters of a queue, or one; return the ID of this request."""
    columns = "(action, queue, message_id) VALUES (%(action)s, %(queue)s, %(message_id)s)"
    insert = f"INSERT INTO dead_letter_requests {columns} RETURNING id::text"
    return str(tx.value(insert, action=action, queue=queue, message_id=message_id))


def find_result(tx: Transaction, request_id: str) -> Any:
    """Return `{"result": …}` or `{"error": …}` of a request; None while it has not been performed."""
    text = tx.value("SELECT result FROM dead_letter_requests WHERE id = %(id)s", id=request_id)
    # Bodies may contain U+0000, which `strictjson` rejects.
    return json.loads(text) if text else None


def prune(tx: Transaction) -> None:
    tx.run("DELETE FROM dead_letter_requests WHERE requested_at < now() - interval '1 minute'")
