"""All rows of a chunk validated at once: which cannot be orders, and which rules the orders fail."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from orders_service.domain.csv_rows import Row
from orders_service.domain.csv_tables import read_table
from orders_service.domain.headers import Header
from orders_service.domain.imports import FileCursor
from orders_service.domain.rules import EMAIL, RULES, ZIPCODE_LENGTHS, Policy, latest_birthday

EARLIEST_BIRTHDAY = date(1900, 1, 1)


@dataclass(frozen=True)
class ValidatedRows:
    """`rows` has the table's columns and: `reason` (a text if it cannot be an order), `key`, `born`, `failed`.

    `broken` rows, (at, row), could not be split. `cursor` is after them all.
    """

    rows: pl.DataFrame
    broken: list[tuple[int, Row]]
    cursor: FileCursor


def validate_rows(
    chunk: bytes, header: Header, cursor: FileCursor, policy: Policy, today: date, *, at_end: bool
) -> ValidatedRows:
    """Validate the rows that are complete with this chunk of the file; the rest of it goes into the cursor.

    Of several rows with the same ID in the chunk the first counts, the others are duplicates.
    """
    table, after = read_table(chunk, header, cursor, at_end=at_end)
    rows = table.rows.with_columns(_key(), _births(table.rows, today)).with_columns(_reason())
    rows = rows.with_columns(
        pl.when(pl.col("reason").is_null() & ~_is_first())
        .then(pl.lit("duplicate"))
        .otherwise("reason")
        .alias("reason"),
        pl.when(_passes_automatically(cursor.previous))
        .then(0)
        .otherwise(_failed(policy, today))
        .cast(pl.Int16)
        .alias("failed"),
    )
    previous = _last_row(rows, table.broken) if len(rows) or table.broken else cursor.previous
    return ValidatedRows(rows, table.broken, replace(after, previous=previous))


def _key() -> pl.Expr:
    text = pl.col("id")
    return pl.when(text.str.contains(r"^-?[0-9]+$")).then(text.str.to_integer(strict=False)).alias("key")


_USUAL = r"^[A-Za-z]{3,9} [0-9]{1,2}, ?[0-9]{4}$"
_SPELLED = r"^([A-Za-z]{3,9}) ([0-9]{1,2})(?:, ?| )([0-9]{4})$"
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_MONTH = {name: number for number, month in enumerate(_MONTHS, 1) for name in (month, month[:3])}


def _births(rows: pl.DataFrame, today: date) -> pl.Series:
    """The dates that there are; the usual spelling is tried first, since the others take four times as long."""
    text = pl.col("birthday")
    usual = pl.when(text.str.contains(_USUAL)).then(text.str.to_date("%B %d, %Y", strict=False))
    born = rows.select(usual.alias("born"))["born"]
    if born.null_count():
        born = rows.select(pl.coalesce(born, _other_spellings()).alias("born"))["born"]
    return rows.select(pl.when(born.is_between(EARLIEST_BIRTHDAY, today)).then(born).alias("born"))["born"]


def _other_spellings() -> pl.Expr:
    text = pl.col("birthday")
    parts = text.str.extract_groups(_SPELLED)
    month = parts.struct.field("1").str.to_lowercase().replace_strict(_MONTH, default=None, return_dtype=pl.UInt8)
    spelled = pl.concat_str(parts.struct.field("3"), month, parts.struct.field("2"), separator="-")
    iso = pl.when(text.str.contains(_ISO)).then(text)
    return pl.coalesce(spelled, iso).str.to_date("%Y-%m-%d", strict=False)


def _reason() -> pl.Expr:
    return pl.coalesce(
        "reason",
        pl.when(pl.col("key").is_null()).then(pl.lit("id")),
        pl.when(pl.col("born").is_null()).then(pl.lit("birthday")),
    ).alias("reason")


def _is_first() -> pl.Expr:
    """Among the rows that are orders."""
    is_order = pl.col("reason").is_null()
    return pl.when(is_order).then(pl.col("key")).is_first_distinct()


def _passes_automatically(previous: tuple[bytes, bytes] | None) -> pl.Expr:
    """Whether state and zip code, as written, are those of the preceding row in the file."""
    state, zipcode = (_text(value) for value in previous or (None, None))
    follows = (pl.col("at") - pl.col("at").shift(1, fill_value=-1)) == 1
    same_state = pl.col("state") == pl.col("state").shift(1, fill_value=state)
    same_zipcode = pl.col("zipcode") == pl.col("zipcode").shift(1, fill_value=zipcode)
    return (follows & same_state & same_zipcode).fill_null(False)


def _text(value: bytes | None) -> pl.Expr:
    return pl.lit(None if value is None else value.decode("utf-8"), pl.String)


def _failed(policy: Policy, today: date) -> pl.Expr:
    failing = [pl.when(_FAILS[rule.name](policy, today)).then(rule.bit).otherwise(0) for rule in policy.rules]
    return pl.sum_horizontal(failing) if failing else pl.lit(0)


def _is_refused_state(policy: Policy, _today: date) -> pl.Expr:
    return pl.col("state").str.to_uppercase().is_in(policy.refused_states)


def _is_no_address(_policy: Policy, _today: date) -> pl.Expr:
    return ~pl.col("email").str.contains(EMAIL)


def _digits() -> pl.Expr:
    return pl.col("zipcode").str.replace_all("[^0-9]", "")


def _sum_is_too_large(policy: Policy, _today: date) -> pl.Expr:
    counts = [pl.col("zipcode").str.count_matches(str(digit), literal=True) * digit for digit in range(1, 10)]
    return pl.sum_horizontal(counts) > policy.largest_zipcode_sum


def _length_is_wrong(_policy: Policy, _today: date) -> pl.Expr:
    return ~_digits().str.len_bytes().is_in(ZIPCODE_LENGTHS)


def _is_net_in_new_york(_policy: Policy, _today: date) -> pl.Expr:
    return pl.col("state").is_in(("NY", "Ny", "nY", "ny")) & pl.col("email").str.contains(r"(?i)\.net$")


def _is_too_young(policy: Policy, today: date) -> pl.Expr:
    return pl.col("born") > latest_birthday(today, policy.smallest_age)


_FAILS: dict[str, Callable[[Policy, date], pl.Expr]] = {
    "allowed_state": _is_refused_state,
    "email_pattern": _is_no_address,
    "zipcode_sum": _sum_is_too_large,
    "zipcode_length": _length_is_wrong,
    "email_state": _is_net_in_new_york,
    "allowed_age": _is_too_young,
}
assert set(_FAILS) == {rule.name for rule in RULES}


def _last_row(rows: pl.DataFrame, broken: list[tuple[int, Row]]) -> tuple[bytes, bytes] | None:
    """Return state and zip code of the last row of the chunk, None if it could not be split."""
    if not len(rows) or (broken and broken[-1][0] > rows["at"][-1]):
        return None
    return rows["state"][-1].encode(), rows["zipcode"][-1].encode()
