"""What a person sees while the stack is set up, and how a failure is told."""

import sys
import time
from collections.abc import Callable

POLL_SECONDS = 0.05
SAY_STILL_WAITING_EVERY_SECONDS = 5


class StackError(Exception):
    """Something a person has to act upon; the message says what to do."""


def say(message: str) -> None:
    """One line of progress, with the seconds since this command began."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {message}", file=sys.stderr, flush=True)


def wait_until(
    what: str,
    is_true: Callable[[], object],
    within_seconds: float,
    give_up: Callable[[], str | None] = lambda: None,
    advice: Callable[[], str] = lambda: "",
) -> None:
    """Polls until true; raises StackError when time is up or `give_up` names a reason."""
    began = said = time.monotonic()
    while not is_true():
        now = time.monotonic()
        if reason := give_up():
            raise StackError(f"{what}: {reason}\n{advice()}")
        if now - began > within_seconds:
            raise StackError(f"{what}: not within {within_seconds:.0f} s\n{advice()}")
        if now - said > SAY_STILL_WAITING_EVERY_SECONDS:
            said = now
            say(f"still waiting: {what} ({now - began:.0f} of at most {within_seconds:.0f} s)")
        time.sleep(POLL_SECONDS)


_BEGAN = time.monotonic()
