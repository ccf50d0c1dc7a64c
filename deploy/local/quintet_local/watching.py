"""Waiting for the programs of a stack, with detection of progress and of failures."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet_local.progress import wait_until

# A busy machine is slow but makes progress, so only a lack of progress is limited.
MAX_SECONDS_WITHOUT_PROGRESS = 180
# Enough for Postgres to see that the shared memory of its killed predecessor has been released.
MAX_SECONDS_OF_FAILED_STARTS = 20
MAX_STARTS = 5


@dataclass(frozen=True)
class ProgramState:
    """The state of one program; `start_marker` has a different value after each start."""

    name: str
    state: str
    start_marker: object
    is_failing: bool = False
    has_failed: bool = False


class StackWatcher:
    """Observes the programs of a stack while a command waits for them.

    `get_states` returns the current state of each program, `get_log_tail` the last lines of one program's log, and
    `get_health` the response of /health, if the gateway is part of the wait.
    """

    def __init__(
        self,
        get_states: Callable[[], Iterable[ProgramState]],
        get_log_tail: Callable[[str], str],
        get_health: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._get_states, self._get_log_tail, self._get_health = get_states, get_log_tail, get_health
        self._started_at = time.monotonic()
        self._start_markers: dict[str, set[object]] = {}

    def wait(self, goal: str, condition: Callable[[], object], advice: Callable[[], str]) -> None:
        wait_until(
            goal,
            condition,
            MAX_SECONDS_WITHOUT_PROGRESS,
            find_failure=self.find_failure,
            advice=advice,
            list_milestones=self.list_milestones,
            describe_pending=self.describe_pending,
        )

    def list_milestones(self) -> list[object]:
        programs = [(program.name, program.state) for program in self._get_states()]
        services = [(name, report.get("status")) for name, report in self._service_reports().items()]
        return [*programs, *services]

    def find_failure(self) -> str | None:
        """Return why waiting is pointless, or None.

        A program that ends by itself is tolerated for a while, because its next attempt may succeed.
        """
        is_late = time.monotonic() - self._started_at > MAX_SECONDS_OF_FAILED_STARTS
        for program in self._get_states():
            markers = self._start_markers.setdefault(program.name, set())
            markers.add(program.start_marker)
            if program.has_failed or (program.is_failing and is_late) or len(markers) > MAX_STARTS:
                return f"{program.name} keeps failing; {self._get_log_tail(program.name)}"
        return None

    def describe_pending(self) -> str:
        pending = [
            f"{name}: {report.get('status')}"
            for name, report in self._service_reports().items()
            if report.get("status") != "OK"
        ]
        return ", ".join(pending)

    def _service_reports(self) -> Mapping[str, Any]:
        health = self._get_health()
        return health.get("services") or ({"gateway": health} if health else {})
