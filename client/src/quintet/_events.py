"""Bodies of requests that append events, and their division into batches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, Union

from quintet.models import NewEvent

MAX_BATCH_EVENTS = 1000
# The gateway's limit for a body.
MAX_BATCH_BYTES = 1024 * 1024
_MAX_REASON_LENGTH = 1000

EventLike = Union[NewEvent, "tuple[str, dict[str, Any]]"]


def to_json(value: Any) -> bytes:
    """Encode as JSON; raise ValueError for NaN and infinities, which JSON does not have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def event_body(event: EventLike, producer: str) -> dict[str, Any]:
    """Return the body that appends the event, with defaults for what it omits."""
    if not isinstance(event, NewEvent):
        event = NewEvent(*event)
    return {
        "event": {"name": event.name, "version": event.version},
        "system": _system(event.system or {}, producer),
        "trigger": {"type": "program", "name": _program_name(), **(event.trigger or {})},
        "payload": event.payload,
    }


def _system(system: dict[str, Any], producer: str) -> dict[str, Any]:
    """Return the system that produced the event, by default now; `time` may be an aware datetime."""
    time = system.get("time", datetime.now(timezone.utc))
    if isinstance(time, datetime):
        time = (time.astimezone(timezone.utc) if time.tzinfo else time).strftime("%Y-%m-%d %H:%M:%S")
    return {"id": producer, "name": "quintet-client", "timezone": "UTC", **system, "time": time}


def _program_name() -> str:
    return os.path.basename(sys.argv[0] if sys.argv else "")[:255] or "python"


def batches(bodies: Iterable[dict[str, Any]]) -> Iterator[tuple[bytes, int]]:
    """Yield the JSON arrays, each within the limits, with the number of their events."""
    batch: list[bytes] = []
    size = 0
    for body in map(to_json, bodies):
        # Each event is preceded by a bracket or a comma, and a bracket follows the last one.
        if batch and (len(batch) == MAX_BATCH_EVENTS or size + len(body) + 2 > MAX_BATCH_BYTES):
            yield _array(batch), len(batch)
            batch, size = [], 0
        batch.append(body)
        size += len(body) + 1
    if batch:
        yield _array(batch), len(batch)


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def plain_reason(text: str) -> str:
    """Return a reason that the service accepts: without control characters, and not too long."""
    return "".join(char if char.isprintable() else " " for char in text)[:_MAX_REASON_LENGTH].strip()
