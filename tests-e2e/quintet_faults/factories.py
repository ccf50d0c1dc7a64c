"""Updates of sprockets with their events, and production of a factory."""

import secrets
from datetime import datetime
from typing import Any

from quintet_e2e.clients import Client, attempt_request, ok_json
from quintet_e2e.streams import read_events
from quintet_faults.checker import Comparison, compare
from quintet_faults.ledger import Ledger, Operation
from quintet_faults.workload import Workload, end_of_stream


class Sprockets(Workload):
    """Writers that count up a sprocket each: a read sees the last write, and each write has one event, in order."""

    name = "sprockets"
    threads = 2

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self._ids = [ok_json(client.post("/api/sprocket/create/1/1/1/1/"))["sprocket"]["id"] for _ in range(2)]
        self._counts = [1] * self.threads
        self._next_position = end_of_stream(client, "factory") + 1
        self._updates: list[dict[str, Any]] = []

    def step(self, number: int) -> None:
        self._counts[number] += 1
        teeth, path = self._counts[number], f"/api/sprocket/{self._ids[number]}"
        operation = self.ledger.perform(
            self.name,
            (number, teeth),
            lambda headers: self.client.send("PATCH", path, json={"teeth": teeth}, headers=headers),
        )
        if operation.is_ok:
            self._check_read(operation, path, teeth)

    def _check_read(self, operation: Operation, path: str, teeth: int) -> None:
        attempt = attempt_request(lambda: self.client.get(path))
        # A response with a Warning header may be stale: Postgres did not respond.
        if attempt.is_ok and attempt.response is not None and "Warning" not in attempt.response.headers:
            value = attempt.response.json()["sprocket"]["teeth"]
            if value != teeth:
                self.ledger.report_problem(operation, f"wrote {teeth}, but read {value}")

    def comparisons(self) -> list[Comparison]:
        return [
            comparison
            for number in range(self.threads)
            for comparison in (self._last_write(number), self._events(number))
        ]

    def _last_write(self, number: int) -> Comparison:
        value = ok_json(self.client.get(f"/api/sprocket/{self._ids[number]}"))["sprocket"]["teeth"]
        operations = self.operations(number)
        last = max((index for index, operation in enumerate(operations) if operation.is_ok), default=0)
        return compare(f"last write of sprocket {number}", operations[last:], [(number, value)])

    def _events(self, number: int) -> Comparison:
        updates = [update for update in self.updates() if update["payload"]["id"] == self._ids[number]]
        observed: list[Any] = [(number, update["payload"]["teeth"]) for update in updates]
        return compare(f"SprocketUpdated of sprocket {number}", self.operations(number), observed)

    def updates(self) -> list[dict[str, Any]]:
        """Return the events of all updates that the stream of factory-service contains by now."""
        events = read_events(self.client, "factory", self._next_position)
        self._next_position += len(events)
        self._updates += [event for event in events if event["event"]["name"] == "SprocketUpdated"]
        return self._updates

    def have_arrived(self, before: float) -> bool:
        """Return whether the events of all updates that were acknowledged before this time are stored."""
        arrived = [operation for operation, _ in self.arrivals() if operation.acknowledged_at < before]
        acknowledged = [operation for operation in self.operations() if 0 < operation.acknowledged_at < before]
        return len(arrived) == len(acknowledged)

    def arrivals(self) -> list[tuple[Operation, float]]:
        """Return each update with the wall-clock time at which event-service stored its event."""
        stored_at = {
            (update["payload"]["id"], update["payload"]["teeth"]): datetime.fromisoformat(update["received_at"])
            for update in self.updates()
        }
        keys = [
            (operation, (self._ids[operation.value[0]], operation.value[1]))
            for operation in self.operations()
            if operation.is_ok
        ]
        return [(operation, stored_at[key].timestamp()) for operation, key in keys if key in stored_at]


class Production(Workload):
    """Batches of production of one factory, whose times may repeat: the value sent last wins."""

    name = "production"
    pace_seconds = 0.3
    _BATCH_SIZE = 10

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        body = {"name": f"faults {secrets.token_hex(4)}"}
        self._id = ok_json(client.post("/api/factories", json=body))["id"]
        self._count = 0

    def step(self, number: int) -> None:
        self._count += 1
        # Half of each batch overwrites the one before it.
        first, value = self._count * self._BATCH_SIZE // 2, self._count
        points = [{"time": first + n, "actual": value, "goal": 1} for n in range(self._BATCH_SIZE)]
        path = f"/api/factory/{self._id}/production"
        self.ledger.perform(
            self.name, (first, value), lambda headers: self.client.post(path, json=points, headers=headers)
        )

    def comparisons(self) -> list[Comparison]:
        chart = ok_json(self.client.get(f"/api/factory/{self._id}/chart-data"))["chart_data"]
        observed: list[Any] = list(zip(chart["time"], chart["sprocket_production_actual"], strict=True))
        last_writes = {
            operation.value[0] + n: (operation.value[1], operation)
            for operation in self.operations()
            if operation.is_ok
            for n in range(self._BATCH_SIZE)
        }
        expected: list[Any] = [((time_, value), operation) for time_, (value, operation) in last_writes.items()]
        return [Comparison("production", sorted(expected, key=lambda entry: entry[0]), observed)]
