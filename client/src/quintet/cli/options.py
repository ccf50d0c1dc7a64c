"""Options and arguments that several commands have."""

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="Idempotency key: a repetition changes nothing."),
]
Since = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="First time: 2026-11-27T10:00Z, 2026-11-27 or 2h (ago).")
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last time.")]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# Larger than every time in seconds that the services accept, to tell it from milliseconds.
_MAX_SECONDS = 7_258_118_400


def parse_moment(text: str, option: str, *, now: datetime | None = None) -> datetime:
    """Return the time that a person wrote: RFC 3339, a local date or time, Unix seconds, `2h` (ago) or `now`."""
    moment = (now or datetime.now(timezone.utc)).replace(microsecond=0)
    if text == "now":
        return moment
    try:
        if match := re.fullmatch(r"(\d{1,6})([smhdw])", text):
            return moment - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        if re.fullmatch(r"\d{5,10}", text) and int(text) <= _MAX_SECONDS:
            return datetime.fromtimestamp(int(text), timezone.utc)
        # Before 3.11, Python accepts no Z.
        return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option} must be a time such as 2026-11-27T10:00:00Z, 2026-11-27, 2h (ago) or now"
        ) from None


def parse_optional_moment(text: str | None, option: str) -> datetime | None:
    return None if text is None else parse_moment(text, option)
