"""Cursors of the list of the newest events of all streams."""

from typing import NamedTuple

CURSOR_PATTERN = "^[0-9]{1,17}-[0-9]{1,18}-[0-9]{1,16}$"


class Cursor(NamedTuple):
    """The location of an event in the order of all events: by time, then by stream, then by position."""

    microseconds: int
    stream_id: int
    position: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


# After every event.
END = Cursor(10**17, 0, 0)


def parse_cursor(text: str) -> Cursor:
    """Return the cursor that `text`, which matches the pattern, stands for."""
    return Cursor(*map(int, text.split("-")))
