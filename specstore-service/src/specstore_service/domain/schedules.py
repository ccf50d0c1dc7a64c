"""The schedule of a spec."""

import re
from datetime import datetime, timedelta
from typing import Any

from chassis.errors import Invalid

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MIN_SECONDS = 60
_MAX_SECONDS = 520 * _UNIT_SECONDS["w"]


def parse(schedule: Any) -> int | None:
    """Return the interval in seconds, None if there is no schedule. Raise Invalid with an error of the contract."""
    if schedule is None:
        return None
    if not isinstance(schedule, str):
        raise Invalid("Schedule should be a string")
    words = schedule.split()
    if words[:1] != ["every"]:
        raise Invalid("Schedule should start with 'every'")
    rest = " ".join(words[1:])
    if rest[-1:] not in _UNIT_SECONDS or not rest:
        raise Invalid("Bad time unit for schedule, only s/m/h/d/w are allowed")
    number = rest[:-1].rstrip()
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", number, re.ASCII):
        raise Invalid("Failed to parse time number")
    seconds = int(number) * _UNIT_SECONDS[rest[-1]]
    if seconds < _MIN_SECONDS:
        raise Invalid("Can't schedule tasks for less than one minute")
    if seconds > _MAX_SECONDS:
        raise Invalid("Can't schedule tasks for more than 520 weeks")
    return seconds


def next_due(due_at: datetime, every_seconds: int, now: datetime) -> datetime:
    """Return the first time after `now` that is a multiple of the interval after `due_at`: missed runs are skipped."""
    missed_runs = max(0, int((now - due_at).total_seconds() // every_seconds))
    return due_at + timedelta(seconds=every_seconds) * (missed_runs + 1)
