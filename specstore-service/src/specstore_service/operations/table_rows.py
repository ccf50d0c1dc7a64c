"""The headers of a table and the rows that follow, with neither comments nor the headers of further parts."""

from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any

from specstore_service.domain.resources import DOCUMENTS, SPREADSHEETS
from specstore_service.domain.sources import Source
from specstore_service.operations.blank_rows import BlankRows
from specstore_service.operations.limits import Unreadable
from specstore_service.operations.omitted_rows import OmittedRows

# A reader yields None for a comment.
SourceRow = list[Any] | None
SourceRows = Iterator[SourceRow]

_MAX_COMMENT_GROUPS = 500_000
_MAX_LEADING_ROWS = 100


class RowNumbers:
    """The numbers that the rows of a table have in its source, where comments count as rows."""

    def __init__(self) -> None:
        self.blank_rows = BlankRows()
        self.begin(1)

    def begin(self, headers: int) -> None:
        """Set the number of the row that precedes the first row of the table."""
        self._headers = headers
        message = f"comments must be in at most {_MAX_COMMENT_GROUPS} separate groups"
        self._omitted = OmittedRows(_MAX_COMMENT_GROUPS, message)

    def omit(self, number: int) -> None:
        self._omitted.omit(number)

    def source_number(self, number: int) -> int:
        """Return the number of a row in the source; `number` counts from the headers, which are row 1."""
        return self._omitted.number_at(number + self._headers - 1)


def read_table(parts: list[SourceRows], source: Source, numbers: RowNumbers, *, is_keyed: bool) -> Iterator[list[Any]]:
    """Return an iterator over the headers and the rows. `is_keyed` states that the headers are the keys of objects."""
    reader = _TableReader(parts, source, numbers, is_keyed)
    headers, rows = reader.read_headers()
    if source.dialect.is_header_case_ignored:
        headers = _with_names_of_schema(headers, source)
    return chain([headers], rows)


class _TableReader:
    def __init__(self, parts: list[SourceRows], source: Source, numbers: RowNumbers, is_keyed: bool) -> None:
        self._parts, self._source, self._numbers = parts, source, numbers
        # The properties of other formats must be ignored.
        is_document = source.rows is not None or source.format in DOCUMENTS
        self._header_rows = [source.tabulator.headers] if is_keyed else source.header_rows
        if is_document and source.header_rows:
            self._header_rows = [source.tabulator.headers]
        self._comment_rows = frozenset(() if is_document else source.dialect.comment_rows or ())
        self._comment_char = None if is_document else source.dialect.comment_char or None
        # The rows up to the headers, which further parts may repeat.
        self._leading: list[list[Any]] = []
        self._number = 0

    def read_headers(self) -> tuple[list[Any], Iterator[list[Any]]]:
        if not self._header_rows:
            return self._create_headers()
        awaited, lines = list(self._header_rows), list[list[Any]]()
        for row in self._uncommented(self._parts[0]):
            self._remember(row)
            # The next row replaces a header row that is a comment.
            if self._number >= awaited[0]:
                lines.append(row)
                awaited.pop(0)
            if not awaited:
                self._numbers.begin(self._number)
                return self._join_headers(lines), self._following_rows()
        raise Unreadable(f"header row {awaited[0]} not found")

    def _create_headers(self) -> tuple[list[Any], Iterator[list[Any]]]:
        """Return the names of the schema, or field1, field2, …, as headers of a file that has none."""
        names = _schema_names(self._source)
        first = next(self._uncommented(self._parts[0]), None)
        if first is None and not names:
            raise Unreadable("must have at least one row")
        width = len(first or [])
        headers = names + [f"field{number}" for number in range(len(names) + 1, width + 1)]
        self._numbers.begin(self._number - 1 if first is not None else 0)
        return headers, chain([first] if first is not None else [], self._following_rows())

    def _following_rows(self) -> Iterator[list[Any]]:
        first, *others = self._parts
        if not others and not self._comment_rows and self._comment_char is None:
            return first  # type: ignore[return-value]  # there are no comments
        return chain(self._uncommented(first), *(self._without_leading_rows(part) for part in others))

    def _uncommented(self, rows: SourceRows) -> Iterator[list[Any]]:
        for row in rows:
            self._number += 1
            if row is None or self._number in self._comment_rows or self._is_comment(row):
                self._numbers.omit(self._number)
            else:
                yield row

    def _is_comment(self, row: list[Any]) -> bool:
        # In delimited text, only the reader can distinguish a comment from a quoted cell.
        return (
            self._comment_char is not None
            and self._source.format in SPREADSHEETS
            and bool(row)
            and str(row[0]).startswith(self._comment_char)
        )

    def _remember(self, row: list[Any]) -> None:
        if len(self._parts) > 1:
            self._leading.append(row)
            if len(self._leading) > _MAX_LEADING_ROWS:
                raise Unreadable(f"the headers of several parts must be in their first {_MAX_LEADING_ROWS} rows")

    def _without_leading_rows(self, part: SourceRows) -> Iterator[list[Any]]:
        """Yield the rows of a further part, except those up to its headers if it repeats those of the first part."""
        rows = self._uncommented(part)
        repeated, numbers = list[list[Any]](), list[int]()
        for leading in self._leading:
            row = next(rows, None)
            if row is None:
                break
            repeated.append(row)
            numbers.append(self._number)
            if row != leading:
                break
        if repeated == self._leading:
            for number in numbers:
                self._numbers.omit(number)
        else:
            yield from repeated
        yield from rows

    def _join_headers(self, lines: list[list[Any]]) -> list[Any]:
        """Return one row of headers.

        In every line but the last, an empty cell continues the cell to its left. As in frictionless, a cell that equals
        the one above is not repeated.
        """
        *upper_lines, headers = lines
        if not upper_lines:
            return headers
        width = max(map(len, lines))
        columns = zip(*(_fill(line, width) for line in upper_lines), _pad(headers, width), strict=True)
        join = self._source.dialect.header_join
        return [_join_cells(column, " " if join is None else join) for column in columns]


def _pad(line: list[Any], width: int) -> list[Any]:
    return line + [None] * (width - len(line))


def _fill(line: list[Any], width: int) -> list[Any]:
    return list(accumulate(_pad(line, width), lambda left, cell: left if cell in (None, "") else cell))


def _join_cells(column: tuple[Any, ...], join: str) -> str:
    texts = [str(cell) for cell in column if cell not in (None, "")]
    return join.join(text for index, text in enumerate(texts) if index == 0 or text != texts[index - 1])


def _schema_names(source: Source) -> list[str]:
    return [field["name"] for field in source.schema["fields"]] if source.schema else []


def _with_names_of_schema(headers: list[Any], source: Source) -> list[Any]:
    names = {name.casefold(): name for name in _schema_names(source)}
    return [names.get(str(header).casefold(), header) for header in headers]
