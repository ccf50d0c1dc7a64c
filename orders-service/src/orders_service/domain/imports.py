"""An import between two steps."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from orders_service.domain.csv_tables import FileCursor
from orders_service.domain.headers import Header


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
