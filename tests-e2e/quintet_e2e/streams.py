"""Events: to append them, and to read a stream as it is."""

from typing import Any
from urllib.parse import quote

from quintet_e2e.clients import Client, done

PAGE = 1000


def body(name: str = "OrderPlaced", **payload: Any) -> dict[str, Any]:
    """What a producer posts."""
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


def path_of(stream: str) -> str:
    return f"/api/v1/streams/{quote(stream, safe='')}"


def events_of(client: Client, stream: str, first: int = 1) -> list[dict[str, Any]]:
    """All of the stream from that position on."""
    events: list[dict[str, Any]] = []
    while True:
        page = done(client.get(f"{path_of(stream)}/events?from={first + len(events)}&limit={PAGE}"))
        events += page
        if len(page) < PAGE:
            return events
