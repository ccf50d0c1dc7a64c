"""Sequences with unique names, and their events in the stream `sequence`."""

import secrets
from typing import Any

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.streams import read_events

CYCLE_LENGTH = 10


class UniqueSequence:
    """A newly created sequence with a unique name that starts at 1."""

    def __init__(self, client: Client, *, maximum: int = CYCLE_LENGTH, cycle: bool = True) -> None:
        self.client = client
        self.name = f"test-{secrets.token_hex(4)}"
        response = client.put(f"/sequences/{self.name}", json={"minimum": 1, "maximum": maximum, "cycle": cycle})
        assert response.status_code == 201, response.text

    def issue(self, count: int, **headers: str) -> list[int]:
        """Return `count` numbers, issued once regardless of retries."""
        path = f"/sequences/{self.name}/next"
        response = self.client.send_with_retry("POST", path, headers=headers, json={"n": count})
        numbers: list[int] = ok_json(response)["sequence_list"]
        return numbers

    def wrap_around(self) -> None:
        assert self.issue(CYCLE_LENGTH) == list(range(1, CYCLE_LENGTH + 1))

    def events(self) -> list[dict[str, Any]]:
        """Return all events of the sequence, including duplicates, oldest first."""
        events = read_events(self.client, "sequence")
        return [event for event in events if event["payload"]["name"] == self.name]
