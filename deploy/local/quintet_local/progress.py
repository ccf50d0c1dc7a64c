"""Progress messages of a command, and waiting for a condition with an error message on failure."""

import sys
import time
from collections.abc import Callable, Iterable

POLL_SECONDS = 0.05
CHECK_INTERVAL_SECONDS = 1
REMINDER_INTERVAL_SECONDS = 5
NO_STACK = "no stack exists here yet: run `make up` to create one"


class StackError(Exception):
    """A failure that the operator must act on; the message states what to do."""


def log_progress(message: str) -> None:
    """Print one line of progress, with the seconds since the start of this command."""
    print(f"{time.monotonic() - _STARTED_AT:6.1f} s  {message}", file=sys.stderr, flush=True)


def wait_until(
    goal: str,
    condition: Callable[[], object],
    within_seconds: float,
    find_failure: Callable[[], str | None] = lambda: None,
    advice: Callable[[], str] = lambda: "",
    list_milestones: Callable[[], Iterable[object]] = lambda: (),
    describe_pending: Callable[[], str] = lambda: "",
) -> None:
    """Poll until the condition is true; `goal` describes it in messages.

    Raise a StackError if `find_failure` returns a reason, or after `within_seconds` without progress. Progress is a
    milestone that was not reached before. Each counts once, so a program that restarts repeatedly does not extend the
    wait indefinitely.
    """
    reached: set[object] = set()
    started_at = progressed_at = checked_at = reminded_at = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now - checked_at > CHECK_INTERVAL_SECONDS:
            checked_at = now
            if reason := find_failure():
                raise StackError(f"{goal}: {reason}\n{advice()}")
            if new := set(list_milestones()) - reached:
                reached |= new
                progressed_at = now
        if now - progressed_at > within_seconds:
            raise StackError(
                f"{goal}: timed out after {now - started_at:.0f} s, {within_seconds:.0f} s of them without progress"
                f"\n{advice()}"
            )
        if now - reminded_at > REMINDER_INTERVAL_SECONDS:
            reminded_at = now
            pending = describe_pending()
            log_progress(f"still waiting: {goal}{pending and f': {pending}'} ({now - started_at:.0f} s)")
        time.sleep(POLL_SECONDS)


_STARTED_AT = time.monotonic()
