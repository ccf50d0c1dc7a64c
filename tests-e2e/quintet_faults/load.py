"""The mixed load: threads that perform the operations of all workloads until the load is stopped."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from quintet_e2e.clients import Client
from quintet_faults.checker import Violation
from quintet_faults.factories import Production, Sprockets
from quintet_faults.flows import Flows
from quintet_faults.imports import Imports
from quintet_faults.ledger import Ledger
from quintet_faults.numbers import Numbers
from quintet_faults.streams import Consumer, Events
from quintet_faults.workload import Workload

# The next message is delivered, and the next import or flow ends, within this time, even on a busy machine.
SETTLE_SECONDS = 60
_READ_AGAIN_SECONDS = 1.0


class Load:
    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.ledger = ledger
        self.sprockets = Sprockets(client, ledger)
        events = Events(client, ledger)
        self._workloads: list[Workload] = [
            Numbers(client, ledger),
            events,
            Consumer(client, ledger, events),
            Imports(client, ledger),
            Flows(client, ledger),
            self.sprockets,
            Production(client, ledger),
        ]
        self._stop_event = threading.Event()
        self._futures: list[Future[None]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Perform operations until the block ends, and then wait until the outcome of each is known."""
        with ThreadPoolExecutor(sum(workload.threads for workload in self._workloads)) as pool:
            self._futures = [
                pool.submit(self._repeat, workload, number)
                for workload in self._workloads
                for number in range(workload.threads)
            ]
            try:
                yield
            finally:
                self._stop_event.set()
        self.raise_errors()

    def _repeat(self, workload: Workload, number: int) -> None:
        while not self._stop_event.is_set():
            workload.step(number)
            self._stop_event.wait(workload.pace_seconds)

    def raise_errors(self) -> None:
        """Raise the exception of a thread that has ended with one."""
        for future in self._futures:
            if future.done():
                future.result()

    def is_stable(self, since: float, seconds: float) -> bool:
        self.raise_errors()
        return self.ledger.is_stable(since, {workload.name for workload in self._workloads}, seconds)

    def violations(self) -> list[Violation]:
        """Compare all effects with the ledger, as soon as they are complete or have not changed for SETTLE_SECONDS."""
        return [violation for workload in self._workloads for violation in _settled(workload)]


def _settled(workload: Workload) -> list[Violation]:
    changed_at, previous = time.monotonic(), None
    while True:
        violations = [violation for comparison in workload.comparisons() for violation in comparison.violations()]
        if violations != previous:
            changed_at, previous = time.monotonic(), violations
        if not violations or time.monotonic() > changed_at + SETTLE_SECONDS:
            return violations
        time.sleep(_READ_AGAIN_SECONDS)
