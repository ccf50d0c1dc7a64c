"""An import between two steps, and the position in its file."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from orders_service.domain.headers import Header


@dataclass(frozen=True)
class FileCursor:
    """The position between two chunks: the number of the next line, and the bytes of it that were read.

    `skipping`: up to the next line break they belong to a row that was too long. `previous` is the state and the
    zip code of the row before, None if it could not be split.
    """

    line: int = 1
    rest: bytes = b""
    skipping: bool = False
    previous: tuple[bytes, bytes] | None = None


@dataclass(frozen=True)
class Import:
    """`header` is None before it was read. The blocks of the file before `next_block` are imported, but for the

    bytes in the cursor. `slice` numbers the jobs: only the job of this number continues the import.
    """

    id: str
    request_id: str
    dry_run: bool
    status: str
    cancelled: bool
    slice: int
    uploaded_at: datetime
    block_count: int
    next_block: int
    header: Header | None
    cursor: FileCursor

    @property
    def is_running(self) -> bool:
        return self.status in ("PENDING", "PROGRESS")

    @property
    def upload_day(self) -> date:
        """The day on which ages are counted."""
        return self.uploaded_at.astimezone(UTC).date()
