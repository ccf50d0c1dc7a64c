"""What a person sees while the stack is set up, and how a failure is told."""

import sys
import time
from collections.abc import Callable, Iterable

POLL_SECONDS = 0.05
LOOK_EVERY_SECONDS = 1
SAY_STILL_WAITING_EVERY_SECONDS = 5
NO_STACK = "no stack exists here yet: `make up` creates one"


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
    reached: Callable[[], Iterable[object]] = lambda: (),
    missing: Callable[[], str] = lambda: "",
) -> None:
    """Poll until true; raise a StackError when `give_up` names a reason, or without progress for so many seconds.

    Progress is anything in `reached` that was not in it before. What goes back and forth is so only once: a program
    that ends again and again does not keep anybody waiting for ever.
    """
    seen: set[object] = set()
    began = moved = looked = said = time.monotonic()
    while not is_true():
        now = time.monotonic()
        if now - looked > LOOK_EVERY_SECONDS:
            looked = now
            if reason := give_up():
                raise StackError(f"{what}: {reason}\n{advice()}")
            if new := set(reached()) - seen:
                seen |= new
                moved = now
        if now - moved > within_seconds:
            raise StackError(
                f"{what}: not after {now - began:.0f} s, {within_seconds:.0f} of them without progress\n{advice()}"
            )
        if now - said > SAY_STILL_WAITING_EVERY_SECONDS:
            said = now
            details = missing()
            say(f"still waiting: {what}{details and f': {details}'} ({now - began:.0f} s)")
        time.sleep(POLL_SECONDS)


_BEGAN = time.monotonic()
