"""Events that are appended to streams, and a consumer that reads and acknowledges them."""

import secrets
from typing import Any

from quintet_e2e.clients import Client, attempt_request
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_faults.checker import Comparison, compare
from quintet_faults.ledger import Ledger
from quintet_faults.workload import Workload


class Events(Workload):
    """Writers with a stream each, whose events must be stored once and in order."""

    name = "events"
    threads = 3

    def __init__(self, client: Client, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self.streams = [f"faults {secrets.token_hex(4)}" for _ in range(self.threads)]
        self._counts = [0] * self.threads

    def step(self, number: int) -> None:
        self._counts[number] += 1
        path, body = f"{stream_path(self.streams[number])}/events", event_body(n=self._counts[number])
        self.ledger.perform(
            self.name,
            (number, self._counts[number]),
            lambda headers: self.client.post(path, json=body, headers={"X-Producer-ID": "faults", **headers}),
        )

    def comparisons(self) -> list[Comparison]:
        return [
            compare(
                f"stream {number}",
                self.operations(number),
                [(number, event["payload"]["n"]) for event in read_events(self.client, stream)],
            )
            for number, stream in enumerate(self.streams)
        ]


class Consumer(Workload):
    """A consumer of the first stream: it must receive each event once and in order if it acknowledges each page."""

    name = "consumer"
    _PAGE_SIZE = 50

    def __init__(self, client: Client, ledger: Ledger, events: Events) -> None:
        super().__init__(client, ledger)
        self._events = events
        self._headers = {"X-Consumer-ID": "faults"}
        self._path = f"{stream_path(events.streams[0])}/events"
        self._received: list[int] = []

    def step(self, number: int) -> None:
        query = f"?eventName=OrderPlaced&limit={self._PAGE_SIZE}"
        attempt = attempt_request(lambda: self.client.get(self._path + query, headers=self._headers))
        page = attempt.response.json() if attempt.is_ok and attempt.response is not None else []
        if page:
            path, form = f"{self._path}/{page[-1]['event']['id']}", {"action": "ACK", "upTo": "1"}
            operation = self.ledger.perform(
                self.name,
                (page[-1]["sequence"],),
                lambda headers: self.client.post(path, data=form, headers=self._headers | headers),
            )
            if operation.is_ok:
                self._received += [event["payload"]["n"] for event in page]

    def comparisons(self) -> list[Comparison]:
        self.step(0)
        received: list[Any] = [(0, n) for n in self._received]
        return [compare("consumer", self._events.operations(0), received)]
