"""Writers of the factory journeys, and the state that must exist after their requests."""

import random
import secrets
import threading
import time
from typing import Any

from quintet_e2e.clients import IN_PROGRESS, UNAVAILABLE_STATUSES, Client, attempt_request, describe, ok_json
from quintet_e2e.streams import read_events

OUTCOME_SECONDS = 150
BATCH_SIZE = 20


def send_through_outage(client: Client, method: str, path: str, **options: Any) -> Any:
    """Repeat the request with one Idempotency-Key until its outcome is known, and return the JSON body.

    Unlike `Client.send_with_retry`, continue for longer than any outage of the factory journeys.
    """
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    deadline = time.monotonic() + OUTCOME_SECONDS
    while True:
        attempt = attempt_request(lambda: client.send(method, path, headers=headers, **options))
        if attempt.response is not None and attempt.response.status_code not in UNAVAILABLE_STATUSES | {IN_PROGRESS}:
            return ok_json(attempt.response)
        assert time.monotonic() < deadline, f"no outcome within {OUTCOME_SECONDS} s: {attempt.description}"
        time.sleep(0.05)


class CountingSprocket:
    """A sprocket whose single writer counts up.

    A read that starts after the response to a write must return that value or a later one.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id = send_through_outage(client, "POST", "/api/sprocket/create/1/1/1/1/")["sprocket"]["id"]
        self.last_sent = self.last_confirmed = 1
        self.read_count = 0

    def write(self) -> None:
        self.last_sent += 1
        send_through_outage(self._client, "PATCH", f"/api/sprocket/{self._id}", json={"teeth": self.last_sent})
        self.last_confirmed = self.last_sent

    def read(self) -> None:
        minimum = self.last_confirmed
        attempt = attempt_request(lambda: self._client.get(f"/api/sprocket/{self._id}/"))
        assert attempt.is_ok or attempt.is_unavailable, attempt.description
        # A response with a Warning header may be stale: Postgres did not respond.
        if attempt.is_ok and attempt.response is not None and "Warning" not in attempt.response.headers:
            teeth = attempt.response.json()["sprocket"]["teeth"]
            expected = f"between {minimum} and {self.last_sent}"
            assert minimum <= teeth <= self.last_sent, f"{teeth} is not {expected}: {describe(attempt.response)}"
            self.read_count += 1


class ProducingFactory:
    """A factory whose production is sent in batches; some points are sent again with a new value."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        self._client, self._rng = client, rng
        body = {"name": f"e2e {secrets.token_hex(4)}"}
        self.id = send_through_outage(client, "POST", "/api/factories", json=body)["id"]
        self.expected: dict[int, int] = {}
        self.batch_count = 0
        self._lock = threading.Lock()

    def send(self) -> None:
        """Send one batch at a time, so that the order of the batches is known."""
        with self._lock:
            first = self._rng.randrange(0, 5 * len(self.expected) // 4 + BATCH_SIZE)
            values = {first + n: self.batch_count for n in range(BATCH_SIZE)}
            points = [{"time": time_, "actual": value, "goal": -value} for time_, value in values.items()]
            send_through_outage(self._client, "POST", f"/api/factory/{self.id}/production", json=points)
            self.batch_count += 1
            self.expected |= values

    def is_chart_complete(self) -> bool:
        attempt = attempt_request(lambda: self._client.get(f"/api/factory/{self.id}/chart-data"))
        if not attempt.is_ok or attempt.response is None:
            return False
        chart: dict[str, list[int]] = attempt.response.json()["chart_data"]
        times = sorted(self.expected)
        values = [self.expected[time_] for time_ in times]
        return chart == {
            "sprocket_production_actual": values,
            "sprocket_production_goal": [-value for value in values],
            "time": times,
        }

    def events(self) -> list[dict[str, Any]]:
        return production_events(self._client, self.id)


def production_events(client: Client, factory_id: int) -> list[dict[str, Any]]:
    events = (event for event in read_events(client, "factory") if event["event"]["name"] == "ProductionRecorded")
    return [event for event in events if event["payload"]["id"] == factory_id]
