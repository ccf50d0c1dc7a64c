"""Workbooks (XLSX), whose first sheet is read row by row as lines of CSV."""

import bisect
import io
import itertools
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any

from chassis.db import Database, stored_uploads
from orders_service.domain.sheets import (
    InvalidWorkbook,
    SharedTexts,
    SheetParser,
    SheetPosition,
    read_elements,
    read_styles,
)

_MAX_SHEET_BYTES, _MAX_SHARED_BYTES, _MAX_PART_BYTES = 2**30, 2**28, 4 * 1024 * 1024
_MAX_TEXT_LENGTH = 2**31
_MAX_DIRECTORY_BYTES, _TAIL_BYTES = 1024 * 1024, 66 * 1024
# A few cells may refer to a long text, so that small pieces of XML are parsed.
_READ_BYTES = 4 * 1024
_MAX_LINES_PER_STEP, _MAX_LENGTH_PER_STEP, _MAX_XML_PER_STEP = 5000, 1024 * 1024, 8 * 1024 * 1024
_END_OF_SHEET = -1
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")


class _ChunkFile(io.RawIOBase):
    """An uploaded file as a seekable file; its chunks are read one by one."""

    def __init__(self, database: Database, upload_id: str) -> None:
        with database.statements() as tx:
            sizes = stored_uploads.list_chunk_sizes(tx, upload_id)
        self._ends = list(itertools.accumulate(sizes))
        self._position = 0

        @lru_cache(maxsize=4)
        def get_chunk(number: int) -> bytes:
            with database.statements() as tx:
                return stored_uploads.get_chunks(tx, upload_id, number, number + 1)

        self._get_chunk = get_chunk

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._ends[-1] if self._ends else 0
        self._position = max(offset + (0, self._position, size)[whence], 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        number = bisect.bisect_right(self._ends, self._position)
        if number == len(self._ends):
            return 0
        chunk = self._get_chunk(number)
        start = self._position - (self._ends[number - 1] if number else 0)
        data = chunk[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class WorkbookReader:
    """Reader of the first sheet; its memory does not depend on the size of the sheet."""

    def __init__(self, database: Database, upload_id: str) -> None:
        file = io.BufferedReader(_ChunkFile(database, upload_id), 64 * 1024)
        with _translate_errors():
            _reject_large_directory(file)
            self._archive = zipfile.ZipFile(file)
            workbook, self._sheet = _find_parts(self._archive)
            texts = workbook.get("sharedStrings")
            self._texts = SharedTexts(_read_part(self._archive, texts, _MAX_SHARED_BYTES) if texts else [])
            styles = workbook.get("styles")
            elements = read_elements(_read_part(self._archive, styles)) if styles else []
            self._styles = read_styles(elements, counts_from_1904=workbook["date1904"] in ("1", "true"))
        self._position: SheetPosition | None = None

    def read_lines(self, position: SheetPosition, width: int) -> tuple[bytes, SheetPosition, bool]:
        """Return the next rows as lines of CSV, the position after them, and whether the sheet ends there.

        `width` is the number of columns in the header, 0 at the beginning.
        """
        if position.offset == _END_OF_SHEET:
            return b"", position, True
        with _translate_errors():
            if position != self._position:
                self._seek(position, width)
            parser, is_complete, xml_bytes = self._parser, False, 0
            while not is_complete and not self._has_enough_lines(xml_bytes):
                data = next(self._parts, b"")
                is_complete, xml_bytes = not data, xml_bytes + len(data)
                parser.feed(data, at_end=is_complete)
        # The last row stays in the parser, because its offset is the position.
        count = len(parser.lines) - (not is_complete)
        lines = "".join(line for _, _, line in parser.lines[:count])
        row = parser.lines[count - 1][0] if count else position.row
        offset = _END_OF_SHEET if is_complete else parser.lines[count][1]
        del parser.lines[:count]
        parser.text_length -= len(lines)
        self._position = SheetPosition(offset, row, position.text_length + len(lines))
        if self._position.text_length > _MAX_TEXT_LENGTH:
            raise InvalidWorkbook("large_workbook")
        return lines.encode(), self._position, is_complete

    def _has_enough_lines(self, xml_bytes: int) -> bool:
        """Return whether there are at least two lines, and either many of them or long ones, or long XML."""
        count, length = len(self._parser.lines), self._parser.text_length
        is_long = length > _MAX_LENGTH_PER_STEP or xml_bytes > _MAX_XML_PER_STEP
        return count > _MAX_LINES_PER_STEP or (count > 1 and is_long)

    def _seek(self, position: SheetPosition, width: int) -> None:
        """Continue at the row at this position, after what precedes the first row."""
        self._parts = _read_part(self._archive, self._sheet, _MAX_SHEET_BYTES)
        self._parser = SheetParser(self._texts, self._styles)
        if position.offset == 0:
            return
        beginning = b""
        while self._parser.first_offset is None:
            part = next(self._parts, b"")
            beginning += part
            if not part or len(beginning) > _MAX_PART_BYTES:
                raise InvalidWorkbook
            self._parser.feed(part)
        first = self._parser.first_offset
        self._parser = SheetParser(self._texts, self._styles, position.row, width, position.offset - first)
        self._parser.feed(beginning[:first])
        skipped = len(beginning)
        while skipped < position.offset:
            beginning = next(self._parts, b"")
            if not beginning:
                raise InvalidWorkbook
            skipped += len(beginning)
        self._parser.feed(beginning[len(beginning) - (skipped - position.offset) :])


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    # zipfile and zlib raise these for an archive that is damaged, encrypted or compressed in an unsupported way.
    except (
        zipfile.BadZipFile, zlib.error, struct.error, LookupError, ValueError, ArithmeticError, RuntimeError, EOFError,
    ) as error:  # fmt: skip
        raise InvalidWorkbook from error


def _reject_large_directory(file: IO[bytes]) -> None:
    """Raise InvalidWorkbook if the list of files in the archive, which zipfile reads at once, is too large."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _TAIL_BYTES, 0))
    tail = file.read()
    end, end_64 = tail.rfind(b"PK\5\6"), tail.rfind(b"PK\6\6")
    if end < 0 or end + _END.size > len(tail):
        raise InvalidWorkbook
    sizes = [_END.unpack_from(tail, end)[5]]
    if end_64 >= 0 and end_64 + _END_64.size <= len(tail):
        sizes = [_END_64.unpack_from(tail, end_64)[8]]
    if max(sizes) > _MAX_DIRECTORY_BYTES:
        raise InvalidWorkbook("large_workbook")


def _find_parts(archive: zipfile.ZipFile) -> tuple[dict[str, str], str]:
    """Return the parts of the workbook by their types, its `date1904`, and the part of its first sheet."""
    book = _relations(archive, "")["officeDocument"][0][1]
    relations = _relations(archive, book)
    parts = {kind: targets[0][1] for kind, targets in relations.items()}
    sheets = dict(relations.get("worksheet", []))
    elements = read_elements(_read_part(archive, book))
    parts["date1904"] = next((a.get("date1904", "") for path, a in elements if path.endswith("workbookPr")), "")
    ids = [a.get("id", "") for path, a in elements if path.endswith("sheets/sheet")]
    return parts, next(sheets[id_] for id_ in [*ids, ""] if id_ in sheets or not id_)


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, list[tuple[str, str]]]:
    """Return the IDs and names of the parts that a part of the workbook refers to, by their types."""
    folder, name = posixpath.split(part)
    relations: dict[str, list[tuple[str, str]]] = {}
    for _, attributes in read_elements(_read_part(archive, posixpath.join(folder, f"_rels/{name}.rels"))):
        if target := attributes.get("Target"):
            path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            relations.setdefault(attributes.get("Type", "").rpartition("/")[2], []).append(
                (attributes.get("Id", ""), path)
            )
    return relations


def _read_part(archive: zipfile.ZipFile, name: str, max_bytes: int = _MAX_PART_BYTES) -> Iterator[bytes]:
    """Yield a part in small pieces; its declared size can be trusted, because zipfile reads no more than that."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidWorkbook
    if info.file_size > max_bytes:
        raise InvalidWorkbook("large_workbook")
    with archive.open(name) as part:
        while data := part.read(_READ_BYTES):
            yield data
