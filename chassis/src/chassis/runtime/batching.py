"""Concurrent callers of one process share a round trip."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | BaseException | None = None
        self.done = False
        self.awake = threading.Lock()
        self.awake.acquire()


class Batcher(Generic[Item, Result]):
    """`run` gets all items that came in while its last call was under way, and gives a result for each.

    1. Who comes while nobody leads becomes the leader; others wait.
    2. The leader takes all that wait (at most `most`), runs them, and wakes them.
    3. It makes the first caller that came meanwhile the next leader, so that no caller works for others for ever.
    A result that is an exception is raised for its caller alone; what `run` itself raises, for all of the batch.
    """

    def __init__(self, run: Callable[[list[Item]], Sequence[Result | BaseException]], *, most: int = 64) -> None:
        self._run = run
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item, Result]] = []
        self._led = False

    def submit(self, item: Item) -> Result:
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._waiting.append(call)
            leads, self._led = not self._led, True
        if not leads:
            call.awake.acquire()
        if not call.done:
            self._lead()
        if isinstance(call.result, BaseException):
            raise call.result
        return call.result  # type: ignore[return-value]

    def _lead(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            results = self._run([call.item for call in batch])
            if len(results) != len(batch):
                raise ValueError("as many results as items are needed")
        except BaseException as error:
            results = [error] * len(batch)
        for call, result in zip(batch, results, strict=True):
            call.result, call.done = result, True
        with self._lock:
            successor = self._waiting[0] if self._waiting else None
            self._led = successor is not None
        if successor:
            successor.awake.release()
        for call in batch[1:]:
            call.awake.release()
