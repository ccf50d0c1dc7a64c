"""The client of a command, and notices about requests that are repeated."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from quintet import Quintet

RETRY_VARIABLE = "QUINTET_RETRY_SECONDS"
_DEFAULT_RETRY_SECONDS = 60.0
# A person who looks at a state wants to know immediately that the gateway is unavailable.
QUICK_SECONDS = 2.0
_NOTICE_INTERVAL_SECONDS = 15.0


@contextlib.contextmanager
def connect(url: str | None = None, *, max_retry_seconds: float = float("inf")) -> Iterator[Quintet]:
    """Yield a client, which sends nothing before its first method is called."""
    from quintet import Quintet

    logging.getLogger("quintet").addHandler(_RetryNotices())
    retry_seconds = min(max_retry_seconds, _configured_retry_seconds())
    with Quintet(url, retry_seconds=retry_seconds) as client:
        yield client


def _configured_retry_seconds() -> float:
    text = os.environ.get(RETRY_VARIABLE)
    if text is None:
        return _DEFAULT_RETRY_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise ValueError(f"{RETRY_VARIABLE} must be a number of seconds from 0 to 86400")
    return seconds


class _RetryNotices(logging.Handler):
    """Prints that a request is repeated, but not each time during an outage."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() - self._printed_at > _NOTICE_INTERVAL_SECONDS:
            self._printed_at = time.monotonic()
            typer.echo(f"quintet: {record.getMessage()}", err=True)
