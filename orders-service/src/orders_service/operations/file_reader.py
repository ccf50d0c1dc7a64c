"""The parts of an uploaded file that the steps of its import read."""

from dataclasses import dataclass

from chassis.db import Database, Transaction, stored_uploads
from orders_service.domain.encodings import DecoderState, to_utf8
from orders_service.domain.imports import Import
from orders_service.domain.sheets import InvalidWorkbook, SheetPosition
from orders_service.operations.workbooks import WorkbookReader

_CHUNKS_PER_STEP = 8
# The rest of a workbook is not known.
_MANY_CHUNKS = 1_000_000


@dataclass(frozen=True)
class FilePart:
    """A part of a file, and the position after it."""

    data: bytes
    is_last: bool
    next_chunk: int
    sheet_position: SheetPosition
    chunks_left: int


class FileReader:
    """Reader of the file of an import; a workbook stays open between the steps of a slice.

    It is created outside a transaction: unpacking a workbook up to its next row may take longer than a transaction may
    be idle, and would then fail again in each retry.
    """

    def __init__(self, database: Database, import_: Import) -> None:
        self._workbook: WorkbookReader | None = None
        self._error: InvalidWorkbook | None = None
        if not import_.is_workbook:
            return
        try:
            self._workbook = WorkbookReader(database, import_.id)
            self._workbook.seek(import_.sheet_position, _width(import_))
        except InvalidWorkbook as error:
            self._error = error

    def read_part(self, tx: Transaction, import_: Import) -> FilePart:
        """Return the next part: bytes of the file until its header has been read; raise InvalidWorkbook."""
        if self._error:
            raise self._error
        if self._workbook:
            lines, position, is_last = self._workbook.read_lines(import_.sheet_position, _width(import_))
            return FilePart(lines, is_last, import_.next_chunk, position, _MANY_CHUNKS)
        count = _CHUNKS_PER_STEP if import_.header else 1
        end = min(import_.next_chunk + count, import_.chunk_count)
        data = stored_uploads.get_chunks(tx, import_.id, import_.next_chunk, end)
        return FilePart(data, end == import_.chunk_count, end, import_.sheet_position, import_.chunk_count - end)


def _width(import_: Import) -> int:
    """Return the number of columns in the header, 0 before it has been read."""
    return len(import_.header.columns) if import_.header else 0


def decode_part(part: FilePart, import_: Import) -> tuple[bytes, DecoderState]:
    """Return the part in UTF-8, in which each line ends with a line feed, and the state of the decoder after it."""
    file_format = import_.file_format
    text, decoder = to_utf8(part.data, file_format.detected_encoding, import_.cursor.decoder, at_end=part.is_last)
    return text.replace(b"\r", b"\n") if file_format.has_returns else text, decoder
