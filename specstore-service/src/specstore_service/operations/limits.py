"""Limits that apply to the readers of all formats, so that no source exhausts the memory."""

from specstore_service.domain.schemas import MAX_COLUMNS

BATCH_ROWS = 200
MAX_CELL_BYTES = 16 * 1024 * 1024


class Unreadable(Exception):
    """The data is not a table, or exceeds a limit. The message is for the owner of the spec."""


def too_many_columns(location: str) -> Unreadable:
    return Unreadable(f"{location} has more than {MAX_COLUMNS} columns: a table must have at most {MAX_COLUMNS}")
