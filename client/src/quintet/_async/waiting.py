"""Polling until an import, a load or a flow has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from quintet._retry import RetryPolicy
from quintet.errors import TimedOut, Unavailable

_MIN_DELAY_SECONDS, _MAX_DELAY_SECONDS = 0.1, 1.0


class _Finishing(Protocol):
    @property
    def is_finished(self) -> bool: ...


Status = TypeVar("Status", bound=_Finishing)


async def wait_until_finished(
    get_status: Callable[[RetryPolicy], Awaitable[Status]],
    what: str,
    *,
    policy: RetryPolicy,
    timeout_seconds: float | None,
    on_progress: Callable[[Status], object] | None,
) -> Status:
    """Return the first status that is final; raise TimedOut at the deadline, even during an outage."""
    deadline = float("inf") if timeout_seconds is None else time.monotonic() + timeout_seconds
    delay = _MIN_DELAY_SECONDS
    while True:
        try:
            status = await get_status(policy.until(deadline - time.monotonic()))
        except Unavailable as error:
            if policy.until(deadline - time.monotonic()) is policy:
                raise
            raise _timed_out(what, timeout_seconds) from error
        if on_progress:
            on_progress(status)
        if status.is_finished:
            return status
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise _timed_out(what, timeout_seconds)
        await asyncio.sleep(min(delay, remaining))
        delay = min(delay * 1.5, _MAX_DELAY_SECONDS)


def _timed_out(what: str, timeout_seconds: float | None) -> TimedOut:
    return TimedOut(f"{what} has not ended within {timeout_seconds} seconds; it continues")
