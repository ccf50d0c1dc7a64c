"""Sequences of one's own, and what the stream `sequence` tells of them."""

import secrets
from typing import Any

from quintet_e2e.clients import Client, done
from quintet_e2e.streams import events_of

CYCLE = 10


class Own:
    """A new one, from 1 on."""

    def __init__(self, client: Client, *, maximum: int = CYCLE, cycle: bool = True) -> None:
        self.client = client
        self.name = f"own-{secrets.token_hex(4)}"
        answer = client.put(f"/sequences/{self.name}", json={"minimum": 1, "maximum": maximum, "cycle": cycle})
        assert answer.status_code == 201, answer.text

    def draw(self, count: int, **headers: str) -> list[int]:
        """Once, however often it has to be asked for."""
        path = f"/sequences/{self.name}/next"
        return done(self.client.until_known("POST", path, headers=headers, json={"n": count}))["sequence_list"]

    def wrap(self) -> None:
        assert self.draw(CYCLE) == list(range(1, CYCLE + 1))

    def facts(self) -> list[dict[str, Any]]:
        """All that is said of it, doubled or not, oldest first."""
        events = events_of(self.client, "sequence")
        return [event for event in events if event["payload"]["name"] == self.name]
