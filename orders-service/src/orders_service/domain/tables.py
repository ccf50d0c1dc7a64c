"""A piece of a file as a table: fast where its lines are plain, by `splitting` where they are not."""

import io
from dataclasses import dataclass, field

import polars as pl

from orders_service.domain.formulas import unescape
from orders_service.domain.headers import BYTE_ORDER_MARK, Header
from orders_service.domain.splitting import LONGEST_ROW_BYTES, Row, has_quoted_field, rows_in

# What stands for bytes that are no text, and for U+0000, where a row is shown.
UNREADABLE = "\ufffd"


@dataclass(frozen=True)
class Place:
    """Between two pieces: what of the first is not judged yet, which line that is, and what stood before it.

    `before` is state and zip code of the last row, None where it could not be split.
    """

    line: int = 1
    rest: bytes = b""
    skipping: bool = False
    before: tuple[bytes, bytes] | None = None


@dataclass(frozen=True)
class Table:
    """`rows` has a text column for each of the file, `at` (the place among all rows), `line`, and `reason` where a row

    that could be split can still be no order. `broken` could not be split; their `at` comes first.
    """

    rows: pl.DataFrame
    broken: list[tuple[int, Row]] = field(default_factory=list)


def table_of(data: bytes, header: Header, place: Place, *, at_end: bool) -> tuple[Table, Place]:
    """The complete rows of `data`, which begins at the place, and the place behind them but for what is `before` it."""
    end = len(data) if at_end else data.rfind(b"\n") + 1
    body = data[:end]
    if place.skipping or len(data) - end >= LONGEST_ROW_BYTES or not _is_plain(body, header):
        rows = rows_in(data, header.separator.encode(), at_end=at_end, skipping=place.skipping)
        behind = Place(place.line + rows.lines, data[rows.used :], rows.skipping)
        return _careful_table(rows.found, header, place.line), behind
    count = body.count(b"\n") + (bool(body) and not body.endswith(b"\n"))
    behind = Place(place.line + count, data[end:])
    if body.count(header.separator.encode()) == count * (len(header.columns) - 1):
        try:
            # No row has too many fields, which polars would refuse, and none too few, or the sum would be another.
            numbers = (_at(range(count)), _line(range(place.line, place.line + count)), _no_reason())
            return Table(_read(body, header).with_columns(numbers)), behind
        except pl.exceptions.PolarsError:
            pass
    return _uneven_table(body, header, place.line), behind


def _is_plain(body: bytes, header: Header) -> bool:
    if has_quoted_field(body, header.separator.encode()) or b"\0" in body or body.startswith(BYTE_ORDER_MARK):
        return False
    if body.count(b"\r") != body.count(b"\r\n"):
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not header.is_report and not _has_long_line(body)


def _has_long_line(body: bytes) -> bool:
    """One that is so long covers a multiple of that length."""
    for middle in range(LONGEST_ROW_BYTES, len(body) + 1, LONGEST_ROW_BYTES):
        end = body.find(b"\n", middle)
        if (end if end >= 0 else len(body)) - body.rfind(b"\n", 0, middle) > LONGEST_ROW_BYTES:
            return True
    return False


def _uneven_table(body: bytes, header: Header, first_line: int) -> Table:
    """Of lines that are plain, but not all with as many fields as there are columns."""
    separator, wanted = header.separator.encode(), len(header.columns) - 1
    good: list[bytes] = []
    at: list[int] = []
    lines: list[int] = []
    broken: list[tuple[int, Row]] = []
    for number, line in enumerate(body.split(b"\n"), first_line):
        if not line.strip(b"\r"):
            continue
        place = len(good) + len(broken)
        if line.count(separator) == wanted:
            good.append(line)
            at.append(place)
            lines.append(number)
        else:
            broken.append((place, Row(number, line, None, "fields")))
    rows = _read(b"\n".join(good), header).with_columns(_at(at), _line(lines), _no_reason())
    return Table(rows, broken)


def _read(body: bytes, header: Header) -> pl.DataFrame:
    schema = dict.fromkeys(header.columns, pl.String)
    if not body:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(
        io.BytesIO(body.replace(b"\r\n", b"\n")),
        has_header=False,
        separator=header.separator,
        quote_char=None,
        schema=schema,
        empty_string_is_null=False,
    )


def _careful_table(found: list[Row], header: Header, first_line: int) -> Table:
    cells: list[list[str]] = []
    at, lines, reasons, broken = [], [], [], []
    for place, row in enumerate(found):
        number = first_line + row.line
        if row.fields is None or len(row.fields) != len(header.columns):
            broken.append((place, Row(number, row.raw, None, row.reason or "fields")))
            continue
        text, reason = _text_of(row.fields)
        cells.append([unescape(cell) for cell in text] if header.is_report else text)
        at.append(place)
        lines.append(number)
        reasons.append(reason)
    columns = list(zip(*cells, strict=True)) or [()] * len(header.columns)
    series = [pl.Series(name, column, pl.String) for name, column in zip(header.columns, columns, strict=True)]
    return Table(pl.DataFrame([*series, _at(at), _line(lines), pl.Series("reason", reasons, pl.String)]), broken)


def _text_of(fields: list[bytes]) -> tuple[list[str], str | None]:
    """The fields as text, and what is wrong with them."""
    reason = "nul" if any(b"\0" in cell for cell in fields) else None
    try:
        text = [cell.decode("utf-8") for cell in fields]
    except UnicodeDecodeError:
        text, reason = [cell.decode("utf-8", "replace") for cell in fields], "encoding"
    return [cell.replace("\0", UNREADABLE) for cell in text], reason


def _at(values: range | list[int]) -> pl.Series:
    return _numbers("at", values)


def _line(values: range | list[int]) -> pl.Series:
    # `line` may be a column of the file.
    return _numbers("#line", values)


def _numbers(name: str, values: range | list[int]) -> pl.Series:
    if isinstance(values, range):
        return pl.int_range(values.start, values.stop, eager=True).alias(name)
    return pl.Series(name, values, pl.Int64)


def _no_reason() -> pl.Expr:
    return pl.lit(None, pl.String).alias("reason")
