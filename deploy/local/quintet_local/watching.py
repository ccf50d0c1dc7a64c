"""What the programs of a stack do while somebody waits for them."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet_local.progress import wait_until

# Without anything new for so long; a machine with much else to do is slow, but it moves.
PATIENCE_SECONDS = 180
# Long enough for Postgres to find the memory of its killed predecessor released.
MAX_SECONDS_OF_FAILED_STARTS = 20
MAX_STARTS = 5


@dataclass(frozen=True)
class Program:
    """`starts` grows with each start, or is another value after it."""

    name: str
    state: str
    starts: object
    is_failing: bool = False
    has_failed: bool = False


class Watch:
    """`look` tells what the programs do now, `end_of_log` what one of them has written last.

    `health` tells what the gateway says of the services, where that is asked.
    """

    def __init__(
        self,
        look: Callable[[], Iterable[Program]],
        end_of_log: Callable[[str], str],
        health: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._look, self._end_of_log, self._health = look, end_of_log, health
        self._began = time.monotonic()
        self._starts: dict[str, set[object]] = {}

    def wait(self, what: str, is_true: Callable[[], object], advice: Callable[[], str]) -> None:
        wait_until(what, is_true, PATIENCE_SECONDS, self.failure, advice, reached=self.reached, missing=self.missing)

    def reached(self) -> list[object]:
        programs = [(program.name, program.state) for program in self._look()]
        services = [(name, said.get("status")) for name, said in self._services().items()]
        return [*programs, *services]

    def failure(self) -> str | None:
        """Believe in a program that ends by itself for a while: it may succeed at the next attempt."""
        is_late = time.monotonic() - self._began > MAX_SECONDS_OF_FAILED_STARTS
        for program in self._look():
            starts = self._starts.setdefault(program.name, set())
            starts.add(program.starts)
            if program.has_failed or (program.is_failing and is_late) or len(starts) > MAX_STARTS:
                return f"{program.name} ends again and again; {self._end_of_log(program.name)}"
        return None

    def missing(self) -> str:
        late = [
            f"{name}: {said.get('status')}" for name, said in self._services().items() if said.get("status") != "OK"
        ]
        return ", ".join(late)

    def _services(self) -> Mapping[str, Any]:
        health = self._health()
        return health.get("services") or ({"gateway": health} if health else {})
