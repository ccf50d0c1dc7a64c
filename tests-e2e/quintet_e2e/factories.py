"""What the journeys of factories do again and again, and what they remember of it."""

import random
import secrets
import threading
import time
from typing import Any

from quintet_e2e.clients import AWAY, STILL_UNDER_WAY, Client, attempt, done, told
from quintet_e2e.streams import events_of

KNOWN_WITHIN_SECONDS = 150
BATCH = 20


def until_known(client: Client, method: str, path: str, **more: Any) -> Any:
    """Repeats with one key until the outcome is known, however long a server is away."""
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    ends = time.monotonic() + KNOWN_WITHIN_SECONDS
    while True:
        tried = attempt(lambda: client.send(method, path, headers=headers, **more))
        if tried.answer is not None and tried.answer.status_code not in AWAY | {STILL_UNDER_WAY}:
            return done(tried.answer)
        assert time.monotonic() < ends, f"no outcome within {KNOWN_WITHIN_SECONDS} s: {tried.told}"
        time.sleep(0.05)


class Counted:
    """A sprocket with one writer, who counts up. Who begins to read after an answer must see that or a later one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id = until_known(client, "POST", "/api/sprocket/create/1/1/1/1/")["sprocket"]["id"]
        self.begun = self.answered = 1
        self.reads = 0

    def write(self) -> None:
        self.begun += 1
        until_known(self._client, "PATCH", f"/api/sprocket/{self._id}", json={"teeth": self.begun})
        self.answered = self.begun

    def read(self) -> None:
        least = self.answered
        tried = attempt(lambda: self._client.get(f"/api/sprocket/{self._id}/"))
        assert tried.is_ok or tried.is_away, tried.told
        # Marked as what it may be: Postgres did not answer.
        if tried.is_ok and tried.answer is not None and "Warning" not in tried.answer.headers:
            seen = tried.answer.json()["sprocket"]["teeth"]
            assert least <= seen <= self.begun, f"{seen} is none of {least} … {self.begun}: {told(tried.answer)}"
            self.reads += 1


class Producing:
    """A factory whose production is sent in batches, some points again with another value."""

    def __init__(self, client: Client, chosen: random.Random) -> None:
        self._client, self._random = client, chosen
        self.id = until_known(client, "POST", "/api/factories", json={"name": f"e2e {secrets.token_hex(4)}"})["id"]
        self.expected: dict[int, int] = {}
        self.batches = 0
        self._lock = threading.Lock()

    def send(self) -> None:
        """One batch at a time: what is sent after an answer is sent later."""
        with self._lock:
            first = self._random.randrange(0, 5 * len(self.expected) // 4 + BATCH)
            values = {first + n: self.batches for n in range(BATCH)}
            points = [{"time": time_, "actual": value, "goal": -value} for time_, value in values.items()]
            until_known(self._client, "POST", f"/api/factory/{self.id}/production", json=points)
            self.batches += 1
            self.expected |= values

    def is_whole(self) -> bool:
        tried = attempt(lambda: self._client.get(f"/api/factory/{self.id}/chart-data"))
        if not tried.is_ok or tried.answer is None:
            return False
        chart = tried.answer.json()["chart_data"]
        times = sorted(self.expected)
        values = [self.expected[time_] for time_ in times]
        return chart == {
            "sprocket_production_actual": values,
            "sprocket_production_goal": [-value for value in values],
            "time": times,
        }

    def recorded(self) -> list[dict[str, Any]]:
        """As the stream tells it."""
        return recorded_of(self._client, self.id)


def recorded_of(client: Client, factory: int) -> list[dict[str, Any]]:
    events = (event for event in events_of(client, "factory") if event["event"]["name"] == "ProductionRecorded")
    return [event for event in events if event["payload"]["id"] == factory]
