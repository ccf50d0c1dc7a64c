"""Load on all services that accepts no failure: for changes of a stack that no client may notice."""

import itertools
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import OK
from typing import Any

from quintet_e2e import orders
from quintet_e2e.clients import Client, background_threads, describe, ok_json
from quintet_e2e.specs import Owner
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

IMPORTED_ROWS = 200
POINTS_SECONDS = 60
PROGRESS_SECONDS = 120


class Load:
    """Writers and readers that record what was confirmed. Each request is sent once and must succeed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.name = f"load-{secrets.token_hex(4)}"
        self.owner = Owner(client)
        self.numbers: list[int] = []
        self.events: list[str] = []
        self.points: list[int] = []
        self.imports: list[str] = []
        self.flows: list[str] = []
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self._order_ids = itertools.count(orders.first_unused_id(), IMPORTED_ROWS)
        self._pause = threading.Event()
        self.factory = ok_json(client.post("/api/factories", json={"name": self.name}))["id"]
        ok_json(client.put(f"/sequences/{self.name}", json={"minimum": 1, "maximum": 10**9}))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all writers and readers concurrently until the block ends; raise the first failure."""
        work = self._work()
        with background_threads(len(work), lambda number: self._run(*work[number])):
            yield

    def has_continued(self, since: Counter[str], count: int = 3) -> bool:
        """Return whether each writer and reader has succeeded so often since these counts, and none has failed."""
        assert not self.failures, self.failures
        return all(self.counts[work.__name__] >= since[work.__name__] + count for work, _ in self._work())

    def wait_for_progress(self) -> None:
        """Wait until each writer and reader has succeeded a few more times."""
        counts = self.counts.copy()
        eventually(lambda: self.has_continued(counts), PROGRESS_SECONDS)

    def confirmed(self) -> dict[str, list[Any]]:
        """Return copies of what has been confirmed by now."""
        return {name: list(getattr(self, name)) for name in ("numbers", "events", "points", "imports", "flows")}

    def assert_nothing_lost(self) -> None:
        """Assert that each confirmed change was made once, and nothing else."""
        assert sorted(self.numbers) == [*range(1, len(self.numbers) + 1)]
        assert [event["event"]["id"] for event in read_events(self.client, self.name)] == self.events
        eventually(lambda: self._recorded_points() == self.points, POINTS_SECONDS)
        for task_id in self.imports:
            status = orders.wait_for_end(self.client, task_id)
            assert status["status"] == "SUCCESS"
            assert {name: status[name] for name in orders.COUNTERS} == orders.expected_counts(IMPORTED_ROWS)
        states = {self.owner.wait_for_end(flow)["state"] for flow in self.flows}
        assert states == {"SUCCEEDED"}

    def _recorded_points(self) -> list[int]:
        chart = ok_json(self.client.get(f"/api/factory/{self.factory}/chart-data"))["chart_data"]
        times: list[int] = chart["time"]
        return times

    def _work(self) -> list[tuple[Callable[[], None], float]]:
        """Return the writers and readers, each with the pause after every call, in seconds."""
        return [
            (self.issue_number, 0.05),
            (self.append_event, 0.05),
            (self.replace_sequence, 0.1),
            (self.record_point, 0.1),
            (self.read_factory, 0.1),
            (self.open_console, 0.5),
            (self.import_orders, 1.0),
            (self.upload_spec, 2.0),
        ]

    def _run(self, work: Callable[[], None], pause_seconds: float) -> None:
        try:
            work()
        except Exception as error:
            self.failures.append(f"{datetime.now(UTC):%H:%M:%S} {work.__name__}: {error}")
            raise
        self.counts[work.__name__] += 1
        self._pause.wait(pause_seconds)

    def issue_number(self) -> None:
        self.numbers += ok_json(self.client.post(f"/sequences/{self.name}/next", json={"n": 1}))["sequence_list"]

    def append_event(self) -> None:
        body, headers = event_body(number=len(self.events)), {"X-Producer-ID": "load"}
        self.events.append(ok_json(self.client.post(f"{stream_path(self.name)}/events", json=body, headers=headers)))

    def replace_sequence(self) -> None:
        ok_json(self.client.put(f"/sequences/{self.name}", json={"minimum": 1, "maximum": 10**9}))

    def record_point(self) -> None:
        point = {"time": 1_700_000_000 + len(self.points), "actual": len(self.points), "goal": 1}
        ok_json(self.client.post(f"/api/factory/{self.factory}/production", json=point))
        self.points.append(point["time"])

    def read_factory(self) -> None:
        ok_json(self.client.get(f"/api/factory/{self.factory}"))

    def open_console(self) -> None:
        response = self.client.get(f"/console/sequences/{self.name}")  # the console calls sequence-service
        assert response.status_code == OK, describe(response)

    def import_orders(self) -> None:
        content = orders.orders_file(next(self._order_ids), IMPORTED_ROWS)
        response = self.client.put(f"{orders.API}/import", headers=orders.CSV, data=content)
        self.imports.append(ok_json(response)["result"]["task_id"])

    def upload_spec(self) -> None:
        body = self.owner.spec(f"{self.name}-{len(self.flows)}")
        response = self.client.post("/source/upload", headers=self.owner.headers, json=body)
        self.flows.append(ok_json(response)["flow_id"])
