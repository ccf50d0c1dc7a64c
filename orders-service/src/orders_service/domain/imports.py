"""An import between two steps, and the position in its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from orders_service.domain.encodings import UTF_8, DecoderState
from orders_service.domain.headers import Header
from orders_service.domain.sheets import SheetPosition


@dataclass(frozen=True)
class FileFormat:
    """How a file is to be read: what its upload requested, and what its beginning shows.

    `encoding` is the requested one, None without a request. `columns` contains the names of columns in the file.
    `has_returns`: each line ends with a carriage return alone.
    """

    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    detected_encoding: str = UTF_8
    has_returns: bool = False


@dataclass(frozen=True)
class FileCursor:
    """The position between two chunks of a file.

    `line` is the number of the next line, and `rest` holds the bytes of it that were read already, in UTF-8; the
    decoder holds the bytes of an incomplete character. Before the header has been read, `rest` holds the beginning of
    the file. `is_skipping`: everything up to the next line break belongs to a row that was too long. `previous` is the
    state and the zip code of the preceding row, None if that row could not be split.
    """

    line: int = 1
    rest: bytes = b""
    is_skipping: bool = False
    previous: tuple[bytes, bytes] | None = None
    decoder: DecoderState = field(default_factory=DecoderState)


@dataclass(frozen=True)
class Import:
    """An import in progress.

    `number` identifies the orders that it creates. If it `may_update`, a row with the ID of a stored order replaces it.
    `header` is None until it has been read. All chunks of the file before `next_chunk` have been imported, except for
    the bytes in the cursor; those of a workbook are kept until its end. `slice` is the number of the only job that may
    continue the import.
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
    is_workbook: bool
    sheet_position: SheetPosition
    file_format: FileFormat
    header: Header | None
    cursor: FileCursor

    @property
    def section_number(self) -> int:
        """The number of the section of the error report that the next step adds."""
        return self.sheet_position.row if self.is_workbook else self.next_chunk

    @property
    def is_running(self) -> bool:
        return self.status in ("PENDING", "PROGRESS")

    @property
    def upload_day(self) -> date:
        """The UTC date on which ages are computed."""
        return self.uploaded_at.astimezone(UTC).date()
