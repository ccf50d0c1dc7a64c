"""Rows of a sheet of an XLSX file. Limits on the unpacked size and the rows apply before openpyxl loads the file."""

import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from specstore_service.operations.limits import Unreadable, too_many_columns, translate_archive_errors

_MAX_PARTS = 10_000
# Limits of the format. Cells that are only formatted count here, unlike in the limit for tables.
_MAX_SHEET_ROWS, _MAX_SHEET_COLUMNS = 1_048_576, 16_384
_ROW = "http://schemas.openxmlformats.org/spreadsheetml/2006/main row"
# openpyxl raises these for a missing or malformed part. SyntaxError is raised for invalid XML.
_INVALID_PART_ERRORS = (TypeError, AttributeError, IndexError, SyntaxError, ArithmeticError)


def _translate_errors() -> AbstractContextManager[None]:
    return translate_archive_errors("cannot be read as a spreadsheet", *_INVALID_PART_ERRORS)


@contextmanager
def read_rows(path: Path, sheet: int | str, unpacked_bytes: int) -> Iterator[Iterator[list[Any]]]:
    """Yield the rows of a sheet. Raise Unreadable, also during iteration."""
    import openpyxl

    with path.open("rb") as file:
        with _translate_errors():
            _reject_zip_bomb(file, unpacked_bytes)
            workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        yield _cell_values(_select_sheet(workbook, sheet))


def _reject_zip_bomb(file: IO[bytes], unpacked_bytes: int) -> None:
    """Raise Unreadable if the file is too large when unpacked.

    The sizes in the directory can be trusted, since zipfile truncates each part to its size.
    """
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > unpacked_bytes:
            raise Unreadable(f"has more than {_MAX_PARTS} parts, or more than {unpacked_bytes} bytes when unpacked")
        for part in parts:
            with archive.open(part) as content:
                _reject_large_rows(content)


def _reject_large_rows(content: IO[bytes]) -> None:
    """Raise Unreadable if the part may be a sheet with too many rows or columns.

    openpyxl holds complete rows in memory, and creates rows that the file omits.
    """
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
        pass  # An image, or XML that openpyxl cannot read either.


def _select_sheet(workbook: Any, sheet: int | str) -> Any:
    names = [worksheet.title for worksheet in workbook.worksheets]
    if isinstance(sheet, int) and sheet <= len(names):
        return workbook.worksheets[sheet - 1]
    if sheet in names:
        return workbook[sheet]
    raise Unreadable(f"sheet {sheet} not found")


def _cell_values(sheet: Any) -> Iterator[list[Any]]:
    # The declared dimensions of a sheet may be wrong.
    sheet.reset_dimensions()
    with _translate_errors():
        for cells in sheet.iter_rows(values_only=True):
            row = list(cells)
            while row and row[-1] is None:
                row.pop()
            yield row
