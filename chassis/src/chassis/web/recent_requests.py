"""Counts of the requests of the last minutes, per minute and correct across several web processes."""

import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MINUTES = 15
_SUFFIX = ".recent"


class RecentRequests:
    """A ring of minutes per process: each has its number, the count of errors, and the count per bucket of latency.

    The ring is a file that the other processes read; a process that ends leaves it, and its minutes become too old.
    """

    def __init__(self, directory: str | None, bounds_seconds: Sequence[float]) -> None:
        self._directory, self._bounds = directory, bounds_seconds
        # The last bucket has no upper bound. One minute more than is reported: the current one is incomplete.
        self._width = 2 + len(bounds_seconds) + 1
        self._size = (MINUTES + 1) * self._width * 8
        self._ring: memoryview | None = None

    def observe(self, status: int, seconds: float) -> None:
        if self._ring is None:
            self._ring = self._open()
        minute = int(time.time() // 60)
        row = minute % (MINUTES + 1) * self._width
        if self._ring[row] != minute:
            self._ring[row : row + self._width] = memoryview(bytes(self._width * 8)).cast("q")
            self._ring[row] = minute
        self._ring[row + 1] += status >= 500
        self._ring[row + 2 + bisect_left(self._bounds, seconds)] += 1

    def report(self) -> dict[str, Any]:
        """Return the last complete minutes, oldest first, of all processes together."""
        end = int(time.time() // 60)
        totals = {minute: [0] * (self._width - 1) for minute in range(end - MINUTES, end)}
        for ring in self._rings():
            for row in range(0, len(ring), self._width):
                if ring[row] in totals:
                    values = ring[row + 1 : row + self._width]
                    totals[ring[row]] = [total + value for total, value in zip(totals[ring[row]], values, strict=True)]
        return {
            "bounds_seconds": self._bounds,
            "minutes": [
                {"time": minute * 60, "errors": errors, "counts": counts}
                for minute, (errors, *counts) in totals.items()
            ],
        }

    def _open(self) -> memoryview:
        if not self._directory:
            return memoryview(bytearray(self._size)).cast("q")
        with open(Path(self._directory) / f"{os.getpid()}{_SUFFIX}", "ab+") as file:
            file.truncate(self._size)
            return memoryview(mmap.mmap(file.fileno(), self._size)).cast("q")

    def _rings(self) -> Iterator[memoryview]:
        if self._directory:
            for file in Path(self._directory).glob(f"*{_SUFFIX}"):
                try:
                    content = file.read_bytes()
                except FileNotFoundError:  # the service is being restarted
                    continue
                if len(content) == self._size:
                    yield memoryview(content).cast("q")
        elif self._ring is not None:
            yield self._ring
