"""An import between two steps, and the position in its file."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from orders_service.domain.headers import Header


@dataclass(frozen=True)
class FileCursor:
    """The position between two chunks of a file.

    `line` is the number of the next line, and `rest` holds the bytes of it that were read already. `is_skipping`:
    everything up to the next line break belongs to a row that was too long. `previous` is the state and the zip code
    of the preceding row, None if that row could not be split.
    """

    line: int = 1
    rest: bytes = b""
    is_skipping: bool = False
    previous: tuple[bytes, bytes] | None = None


@dataclass(frozen=True)
class Import:
    """An import in progress.

    `number` identifies the orders that it creates. If it `may_update`, a row with the ID of a stored order replaces it.
    `header` is None until it has been read. All chunks of the file before `next_chunk` have been imported, except for
    the bytes in the cursor. `slice` is the number of the only job that may continue the import.
    """

    id: str
    number: int
    request_id: str
    dry_run: bool
    may_update: bool
    status: str
    is_cancelled: bool
    slice: int
    uploaded_at: datetime
    chunk_count: int
    next_chunk: int
    header: Header | None
    cursor: FileCursor

    @property
    def is_running(self) -> bool:
        return self.status in ("PENDING", "PROGRESS")

    @property
    def upload_day(self) -> date:
        """The UTC date on which ages are computed."""
        return self.uploaded_at.astimezone(UTC).date()
