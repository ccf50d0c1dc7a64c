"""Batching: concurrent callers within one process share a round trip."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | BaseException | None = None
        self.is_done = False
        self.wake_up = threading.Lock()
        self.wake_up.acquire()


class Batcher(Generic[Item, Result]):
    """Calls `run` with all items that were submitted while its previous call was running; it returns a result for each.

    1. A caller that arrives while there is no leader becomes the leader; all others wait.
    2. The leader removes up to `max_size` waiting calls from the queue, runs them, and wakes their callers.
    3. The leader appoints the first caller that is still waiting as its successor, so no caller leads indefinitely.
    If a result is an exception, only its caller raises it; if `run` itself raises, every caller of the batch does.
    """

    def __init__(self, run: Callable[[list[Item]], Sequence[Result | BaseException]], *, max_size: int = 64) -> None:
        self._run = run
        self._max_size = max_size
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item, Result]] = []
        self._has_leader = False

    def submit(self, item: Item) -> Result:
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._waiting.append(call)
            is_leader, self._has_leader = not self._has_leader, True
        if not is_leader:
            call.wake_up.acquire()
        if not call.is_done:
            self._lead()
        if isinstance(call.result, BaseException):
            raise call.result
        return call.result  # type: ignore[return-value]

    def _lead(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self._max_size], self._waiting[self._max_size :]
        try:
            results = self._run([call.item for call in batch])
            if len(results) != len(batch):
                raise ValueError(f"run must return {len(batch)} results, one for each item")
        except BaseException as error:
            results = [error] * len(batch)
        for call, result in zip(batch, results, strict=True):
            call.result, call.is_done = result, True
        with self._lock:
            successor = self._waiting[0] if self._waiting else None
            self._has_leader = successor is not None
        if successor:
            successor.wake_up.release()
        for call in batch[1:]:
            call.wake_up.release()
