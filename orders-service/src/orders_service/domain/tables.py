"""A piece of a file as a table: fast where its lines are plain, by `splitting` where they are not."""

import io
from dataclasses import dataclass, field

import polars as pl

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
    if not place.skipping and len(data) - end < LONGEST_ROW_BYTES and _is_plain(body, header):
        lines = body.split(b"\n")
        # Behind the last line break there is nothing, but at the end of a file without one.
        count = len(lines) - (not lines[-1])
        if not lines or max(map(len, lines)) < LONGEST_ROW_BYTES:
            return _plain_table(body, lines[:count], header, place.line), Place(place.line + count, data[end:])
    rows = rows_in(data, header.separator.encode(), at_end=at_end, skipping=place.skipping)
    behind = Place(place.line + rows.lines, data[rows.used :], rows.skipping)
    return _careful_table(rows.found, header, place.line), behind


def _is_plain(body: bytes, header: Header) -> bool:
    if has_quoted_field(body, header.separator.encode()) or b"\0" in body or body.startswith(BYTE_ORDER_MARK):
        return False
    if body.count(b"\r") != body.count(b"\r\n"):
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not header.is_report


def _plain_table(body: bytes, lines: list[bytes], header: Header, first_line: int) -> Table:
    separator, wanted = header.separator.encode(), len(header.columns) - 1
    numbers = range(first_line, first_line + len(lines))
    counts = [line.count(separator) for line in lines]
    if counts.count(wanted) == len(counts):
        return Table(_read(body, header).with_columns(_at(range(len(lines))), _line(numbers), _no_reason()))
    good, at, line_numbers, broken = [], [], [], []
    place = 0
    for number, line, count in zip(numbers, lines, counts, strict=True):
        if not line.strip(b"\r"):
            continue
        if count == wanted:
            good.append(line)
            at.append(place)
            line_numbers.append(number)
        else:
            broken.append((place, Row(number, line, None, "fields")))
        place += 1
    rows = _read(b"\n".join(good), header).with_columns(_at(at), _line(line_numbers), _no_reason())
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
        cells.append([_as_typed(cell) for cell in text] if header.is_report else text)
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


def _as_typed(cell: str) -> str:
    """What a report made harmless by an apostrophe, without it."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'")[:1] in FORMULA_BEGINS else cell


# Not the empty string, which is in every other.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def _at(values: range | list[int]) -> pl.Series:
    return pl.Series("at", values, pl.Int64)


def _line(values: range | list[int]) -> pl.Series:
    # Not the name of any column of a file.
    return pl.Series("#line", values, pl.Int64)


def _no_reason() -> pl.Expr:
    return pl.lit(None, pl.String).alias("reason")
