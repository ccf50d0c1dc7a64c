"""The gateway's access log, which the console can read in the stack without containers."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from chassis import strictjson
from chassis.errors import Invalid

# The newest part, which is read within a few milliseconds; the file is rotated at ten times this size.
_MAX_BYTES = 1024 * 1024


def find_last_requests(log: Path, users: Collection[str]) -> dict[str, str]:
    """Return the time of each user's last successful request; users without one in the newest part are left out."""
    times: dict[str, str] = {}
    for entry in _newest_entries(log):
        user = entry["user"]
        # Without a success, the name is what the client stated.
        if user in users and user not in times and entry["status"] < 400:
            times[user] = entry["time"]
            if len(times) == len(users):
                break
    return times


def find_request(log: Path, request_id: str) -> dict[str, Any] | None:
    """Return the newest entry of a request, None if the newest part of the log has none."""
    return next(_newest_entries(log, f'"request_id":"{request_id}"'), None)


def _newest_entries(log: Path, text: str = "") -> Iterator[dict[str, Any]]:
    """Yield the entries of the lines that contain `text`, newest first."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _MAX_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return
    for line in reversed(lines):
        if text.encode() in line:
            try:
                yield strictjson.loads(line)
            except Invalid:
                continue  # the end of a line that begins before the part, or a line of nginx itself
