"""Rows of a sheet of an XLSX file. What an archive unpacks to, and its rows, are bounded before openpyxl loads them."""

import errno
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from specstore_service.operations.limits import Unreadable, too_many_columns

_MAX_PARTS = 10_000
# Of the format. Cells that are only formatted count here, unlike in the limit for tables.
_MAX_SHEET_ROWS, _MAX_SHEET_COLUMNS = 1_048_576, 16_384
_ROW = "http://schemas.openxmlformats.org/spreadsheetml/2006/main row"
# What zipfile raises for an archive that is damaged, encrypted or compressed in an unsupported way, and openpyxl for a
# part that is missing or of another shape; SyntaxError is XML's.
_INVALID = (
    KeyError, ValueError, TypeError, AttributeError, IndexError, SyntaxError, ArithmeticError, RuntimeError, EOFError,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except _INVALID as error:
        raise Unreadable("cannot be read as a spreadsheet") from error
    except OSError as error:
        # That of bzip2 for damaged data, or an offset outside the file; any other is one of the storage.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Unreadable("cannot be read as a spreadsheet") from error


@contextmanager
def read_rows(path: Path, sheet: int | str, unpacked_bytes: int) -> Iterator[Iterator[list[Any]]]:
    """Raises Unreadable, also while the rows are read."""
    import openpyxl

    with path.open("rb") as file:
        with _translate_errors():
            _reject_zip_bomb(file, unpacked_bytes)
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        yield _cells(_chosen(book, sheet))


def _reject_zip_bomb(file: IO[bytes], unpacked_bytes: int) -> None:
    """A part of an archive cannot give more than its size in the directory: zipfile cuts it off there."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > unpacked_bytes:
            raise Unreadable(f"takes up more than {unpacked_bytes} bytes when it is unpacked")
        for part in parts:
            with archive.open(part) as content:
                _reject_large_rows(content)


def _reject_large_rows(content: IO[bytes]) -> None:
    """openpyxl holds a row as a whole, and makes up rows that are left out. Any part may be that of a sheet."""
    depth = row_depth = cells = number = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, row_depth, cells, number
        depth += 1
        if name == _ROW:
            row_depth, cells, number = depth, 0, int(attributes.get("r", number + 1))
            if number > _MAX_SHEET_ROWS:
                raise Unreadable(f"has more than {_MAX_SHEET_ROWS} rows")
        elif row_depth and depth == row_depth + 1:
            cells += 1
            if cells > _MAX_SHEET_COLUMNS:
                raise too_many_columns(f"row {number}")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    try:
        parser.ParseFile(content)
    except expat.ExpatError:
        pass  # An image, or XML that openpyxl will not read either.


def _chosen(book: Any, sheet: int | str) -> Any:
    names = [it.title for it in book.worksheets]
    if isinstance(sheet, int) and sheet <= len(names):
        return book.worksheets[sheet - 1]
    if sheet in names:
        return book[sheet]
    raise Unreadable(f"there is no sheet {sheet}")


def _cells(sheet: Any) -> Iterator[list[Any]]:
    # What the sheet says of its own size may be anything.
    sheet.reset_dimensions()
    with _translate_errors():
        for cells in sheet.iter_rows(values_only=True):
            row = list(cells)
            while row and row[-1] is None:
                row.pop()
            yield row
