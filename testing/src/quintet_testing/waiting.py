"""Waiting for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

_POLL_SECONDS = 0.02


def eventually(check: Callable[[], Value], within_seconds: float = 60) -> Value:
    """Return the first truthy value of `check`; raise AssertionError, caused by its last exception, after the time."""
    deadline = time.monotonic() + within_seconds
    while True:
        problem: Exception | None = None
        try:
            if value := check():
                return value
        except Exception as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within_seconds:.0f} s: {check!r}") from problem
        time.sleep(_POLL_SECONDS)
