"""The client of a command, and notices about requests that are repeated."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from quintet.cli.output import printable

if TYPE_CHECKING:
    from quintet import Quintet

RETRY_VARIABLE = "QUINTET_RETRY_SECONDS"
_DEFAULT_RETRY_SECONDS = 60.0
# A person who looks at a state wants to know immediately that the gateway is unavailable.
QUICK_SECONDS = 2.0
# An outage that is longer than this is reported, and again in this interval. After a longer pause, it is another one.
_SHORT_SECONDS, _NOTICE_INTERVAL_SECONDS, _MAX_PAUSE_SECONDS = 3.0, 15.0, 10.0


@contextlib.contextmanager
def connect(url: str | None = None, *, max_retry_seconds: float = float("inf")) -> Iterator[Quintet]:
    """Yield a client, which sends nothing before its first method is called."""
    from quintet import Quintet

    log = logging.getLogger("quintet")
    log.setLevel(logging.INFO)
    log.addHandler(_RetryNotices())
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
    """Prints why requests are repeated: not during a short interruption, and not each time during a long one."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._began_at = self._last_at = self._printed_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._last_at > _MAX_PAUSE_SECONDS:
            self._began_at = now
        self._last_at = now
        if now - self._began_at > _SHORT_SECONDS and now - self._printed_at > _NOTICE_INTERVAL_SECONDS:
            self._printed_at = now
            typer.echo(f"quintet: {printable(record.getMessage())}", err=True)
