"""How often a spec wants to be run again."""

import re
from datetime import datetime, timedelta
from typing import Any

from chassis.errors import Invalid

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MIN_SECONDS = 60
_MAX_SECONDS = 520 * _SECONDS["w"]


def parse(schedule: Any) -> int | None:
    """Seconds; None for none. Raises Invalid with the words of the contract."""
    if schedule is None:
        return None
    if not isinstance(schedule, str):
        raise Invalid("Schedule should be a string")
    word, _, rest = schedule.partition(" ")
    if word != "every":
        raise Invalid("Schedule should start with 'every'")
    rest = rest.strip(" ")
    if rest[-1:] not in _SECONDS or not rest:
        raise Invalid("Bad time unit for schedule, only s/m/h/d/w are allowed")
    number = rest[:-1].rstrip(" ")
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", number, re.ASCII):
        raise Invalid("Failed to parse time number")
    seconds = int(number) * _SECONDS[rest[-1]]
    if seconds < _MIN_SECONDS:
        raise Invalid("Can't schedule tasks for less than one minute")
    if seconds > _MAX_SECONDS:
        raise Invalid("Can't schedule tasks for more than 520 weeks")
    return seconds


def next_due(due: datetime, every_seconds: int, now: datetime) -> datetime:
    """The first time after now that is a whole number of periods from `due`: what was missed is not made up twice."""
    missed = max(0, int((now - due).total_seconds() // every_seconds))
    return due + timedelta(seconds=every_seconds) * (missed + 1)
