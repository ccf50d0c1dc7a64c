"""Consumers of a stream: reading with acknowledgements."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from quintet._async.transport import AsyncTransport
from quintet._decoding import decode
from quintet._events import plain_reason
from quintet._retry import RetryPolicy
from quintet.errors import InvalidInput, NotFound, QuintetError
from quintet.models import Event

_WAIT_SECONDS = 30
_BATCH_SIZE = 100
_MAX_DELAY_SECONDS = 86_400
# A stream that does not exist yet cannot be waited for, so it is polled.
_UNKNOWN_STREAM_SECONDS = 1.0
_INDEFINITELY = RetryPolicy(total_seconds=None)
_END_SECONDS = 5.0
# At the end of a loop, perhaps while the program ends, an outage is not waited for: the event is delivered again.
_AT_THE_END = RetryPolicy(total_seconds=_END_SECONDS)


class AsyncReceivedEvent(Event):
    """An event that a consumer received, to be acknowledged or refused."""

    _consumption: AsyncConsumption

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process has the content only: the connections remain in this one.
        return {name: value for name, value in vars(self).items() if name != "_consumption"}

    async def acknowledge(self) -> None:
        """Confirm that the event was processed; needed only before leaving the loop, which otherwise does it."""
        await self._consumption.acknowledge(self)

    async def refuse(self, reason: str = "", delay_seconds: float | None = None) -> None:
        """Report a failed attempt: the event is delivered again after the delay, by default 1, 5, 25 and 125 seconds.

        After the fifth failure, the event is parked for this consumer. In the meantime, only a consumer with leases
        receives later events.
        """
        await self._consumption.refuse(self, reason, delay_seconds)


class AsyncConsumption:
    """An iterator of the events of a consumer, which waits for new ones and continues through any outage.

    - The request for the next event acknowledges the previous one: each event is processed at least once.
    - As a context manager (`with stream.consume(…) as events`), an exception in the block refuses the current event,
      with the text of the exception as the reason, and propagates. Leaving the block in another way does neither: the
      event is delivered again.
    - In a bare `for` loop, the reason for leaving early is unknown: the current event is refused with the reason "the
      loop ended", unless it was acknowledged or refused before. A bare `async for` notices this only later: use
      `async with`.

    Raises Forbidden if the consumer belongs to another user, and Conflict if it uses leases and this reads in order, or
    vice versa.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        stream_path: str,
        consumer: str,
        event_name: str,
        *,
        lease_seconds: float | None,
        batch_size: int | None,
        stop_when_empty: bool,
    ) -> None:
        self._transport, self._path, self._event_name = transport, f"{stream_path}/events", event_name
        self._headers: dict[str, str] = {"X-Consumer-ID": consumer}
        self._lease_seconds = lease_seconds
        # Events of a batch wait for those before them while their leases run.
        self._batch_size = batch_size or (_BATCH_SIZE if lease_seconds is None else 1)
        self._stop_when_empty = stop_when_empty
        self._batch: deque[Any] = deque()
        self._batch_expires_at = float("inf")
        self._current: AsyncReceivedEvent | None = None
        self._rejected_id: str | None = None
        self._is_entered = False

    async def __aenter__(self) -> AsyncConsumption:
        self._is_entered = True
        return self

    async def __aexit__(
        self, class_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_entered = False
        self._batch.clear()
        if isinstance(error, Exception):
            await self._refuse_at_the_end(str(error) or type(error).__name__)
        self._current = None

    def __aiter__(self) -> AsyncIterator[AsyncReceivedEvent]:
        return self if self._is_entered else self._until_closed()

    async def __anext__(self) -> AsyncReceivedEvent:
        event = await self._next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def _until_closed(self) -> AsyncIterator[AsyncReceivedEvent]:
        while (event := await self._next()) is not None:
            try:
                yield event
            except GeneratorExit:
                await self._refuse_at_the_end("the loop ended")
                raise

    async def _next(self) -> AsyncReceivedEvent | None:
        """Acknowledge the current event, and return the next one, or None at the end."""
        if self._current is not None:
            await self.acknowledge(self._current)
        if time.monotonic() > self._batch_expires_at:
            self._batch.clear()
        while not self._batch:
            if not await self._read_batch() and self._stop_when_empty:
                return None
        event = decode(AsyncReceivedEvent, self._batch.popleft())
        object.__setattr__(event, "_consumption", self)
        self._current = event
        return event

    async def _read_batch(self) -> bool:
        """Read the next events, waiting for the first one; return whether any were received."""
        wait_seconds = 0 if self._stop_when_empty else _WAIT_SECONDS
        params = {
            "eventName": self._event_name,
            "limit": self._batch_size,
            "wait": wait_seconds,
            "lease": self._lease_seconds,
        }
        try:
            events = await self._transport.get(
                self._path,
                params=params,
                headers=self._headers,
                read_timeout_seconds=wait_seconds + self._transport.timeout_seconds,
                policy=_INDEFINITELY,
            )
        except NotFound:
            if not self._stop_when_empty:
                await asyncio.sleep(_UNKNOWN_STREAM_SECONDS)
            return False
        self._batch.extend(events)
        self._batch_expires_at = time.monotonic() + (self._lease_seconds or float("inf"))
        return bool(events)

    async def acknowledge(self, event: AsyncReceivedEvent) -> None:
        """Acknowledge an event; do nothing if it was acknowledged or refused already."""
        if event is self._current:
            self._current = None
            await self._send(event, {"action": "ACK"}, _INDEFINITELY)

    async def refuse(self, event: AsyncReceivedEvent, reason: str, delay_seconds: float | None) -> None:
        """Refuse an event; do nothing if it was acknowledged or refused already."""
        if delay_seconds is not None and not 0 <= delay_seconds <= _MAX_DELAY_SECONDS:
            raise ValueError(f"delay_seconds must be between 0 and {_MAX_DELAY_SECONDS}")
        if event is self._current:
            self._current = None
            await self._refuse(event, reason, delay_seconds, _INDEFINITELY)

    async def _refuse(
        self, event: AsyncReceivedEvent, reason: str, delay_seconds: float | None, policy: RetryPolicy
    ) -> None:
        if self._lease_seconds is None:
            # The events after it cannot be acknowledged before it.
            self._batch.clear()
        form = {"action": "NACK"}
        if text := plain_reason(reason):
            form["reason"] = text
        if delay_seconds is not None:
            form["delay"] = str(delay_seconds)
        await self._send(event, form, policy)

    async def _refuse_at_the_end(self, reason: str) -> None:
        if self._current is None:
            return
        event, self._current = self._current, None
        try:
            await self._refuse(event, reason, None, _AT_THE_END)
        except QuintetError:
            # It must not hide why the loop ended. The event was not acknowledged, so it is delivered again.
            pass

    async def _send(self, event: AsyncReceivedEvent, form: dict[str, str], policy: RetryPolicy) -> None:
        try:
            await self._transport.request(
                "POST",
                f"{self._path}/{event.id}",
                content=urlencode({**form, "eventName": self._event_name}).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded", **self._headers},
                read_timeout_seconds=_END_SECONDS if policy is _AT_THE_END else None,
                policy=policy,
            )
            self._rejected_id = None
        except NotFound:
            # Retention has deleted it.
            pass
        except InvalidInput:
            # The offset was set to another event, or the leases were ended: continue from there.
            if event.id == self._rejected_id:
                raise
            self._rejected_id = event.id
            self._batch.clear()
