"""Append and read events of a stream."""

from typing import Any
from urllib.parse import quote

from quintet_e2e.clients import Client, ok_json

PAGE_SIZE = 1000


def event_body(name: str = "OrderPlaced", **payload: Any) -> dict[str, Any]:
    """Return an event with this name and payload, as the body of a request that appends it."""
    return {
        "event": {"name": name, "version": 1},
        "system": {
            "id": "alv123",
            "name": "codello alvine",
            "time": "2017-09-06 13:58:12",
            "timezone": "Europe/Berlin",
        },
        "trigger": {"type": "system", "name": "/path/to/script.php"},
        "payload": payload,
    }


def stream_path(stream: str) -> str:
    return f"/api/v1/streams/{quote(stream, safe='')}"


def read_events(client: Client, stream: str, from_position: int = 1) -> list[dict[str, Any]]:
    """Return all events of the stream from this position on."""
    events: list[dict[str, Any]] = []
    while True:
        page = ok_json(client.get(f"{stream_path(stream)}/events?from={from_position + len(events)}&limit={PAGE_SIZE}"))
        events += page
        if len(page) < PAGE_SIZE:
            return events
