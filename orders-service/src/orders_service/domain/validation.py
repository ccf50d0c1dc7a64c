"""Validation of all rows of a chunk: which of them cannot be orders, and which rules the orders violate."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from orders_service.domain.birthdays import parse_birthdays
from orders_service.domain.csv_rows import Row
from orders_service.domain.csv_tables import read_table
from orders_service.domain.headers import Header
from orders_service.domain.imports import FileCursor
from orders_service.domain.rules import EMAIL, MAX_TEXT_LENGTH, RULES, ZIPCODE_LENGTHS, Policy, latest_birthday
from orders_service.domain.states import STATE_CODES, WHITE_SPACE, normalize_state


@dataclass(frozen=True)
class ValidatedRows:
    """The result of validating a chunk.

    `rows` has the columns of the table (`reason` is not null if the row cannot be an order), and in addition
    `order_id`, `birth_date` and `failed` (the bits of the violated rules). `state` is the normalized state, and
    `#state` the one in the file. `malformed` rows, as (position, row), could
    not be split into fields. `cursor` is the position after all of them.
    """

    rows: pl.DataFrame
    malformed: list[tuple[int, Row]]
    cursor: FileCursor


def validate_rows(
    chunk: bytes,
    header: Header,
    cursor: FileCursor,
    policy: Policy,
    today: date,
    *,
    at_end: bool,
    date_format: str | None = None,
) -> ValidatedRows:
    """Validate the rows that this chunk of the file completes; the incomplete rest becomes part of the cursor.

    If several rows of the chunk have the same ID, the first one wins and the others are duplicates.
    """
    table, next_cursor = read_table(chunk, header, cursor, at_end=at_end)
    birth_dates = parse_birthdays(table.rows["birthday"], today, date_format)
    rows = table.rows.rename({"state": "#state"}).with_columns(
        _order_id(), birth_dates, _normalized_states(table.rows["state"])
    )
    rows = rows.with_columns(_rejection())
    rows = rows.with_columns(
        pl.when(pl.col("reason").is_null() & ~_is_first_with_id())
        .then(pl.lit("duplicate"))
        .otherwise("reason")
        .alias("reason"),
        pl.when(_passes_automatically(cursor.previous))
        .then(0)
        .otherwise(_failed_bits(policy, today))
        .cast(pl.Int16)
        .alias("failed"),
    )
    previous = _last_state_and_zipcode(rows, table.malformed) if len(rows) or table.malformed else cursor.previous
    return ValidatedRows(rows, table.malformed, replace(next_cursor, previous=previous))


def _order_id() -> pl.Expr:
    text = pl.col("id")
    return pl.when(text.str.contains(r"^-?[0-9]+$")).then(text.str.to_integer(strict=False)).alias("order_id")


def _normalized_states(states: pl.Series) -> pl.Series:
    """Return the normalized states. A chunk has few spellings, so each of them is normalized once."""
    spellings = states.unique()
    normalized = pl.Series([normalize_state(text) for text in spellings], dtype=pl.String)
    return states.replace_strict(spellings, normalized, return_dtype=pl.String)


def _rejection() -> pl.Expr:
    return pl.coalesce(
        "reason",
        pl.when(pl.col("order_id").is_null()).then(pl.lit("id")),
        pl.when(pl.any_horizontal(_TEXTS.str.len_chars() > MAX_TEXT_LENGTH)).then(pl.lit("length")),
        pl.when(pl.col("birth_date").is_null()).then(pl.lit("birthday")),
    ).alias("reason")


_TEXTS = pl.col("name", "email", "#state", "zipcode")


def _is_first_with_id() -> pl.Expr:
    """Return whether the row is the first order with its ID; undefined for a row that cannot be an order."""
    is_order = pl.col("reason").is_null()
    return pl.when(is_order).then(pl.col("order_id")).is_first_distinct()


def _passes_automatically(previous: tuple[bytes, bytes] | None) -> pl.Expr:
    """Return whether state and zip code, as written, equal those of the preceding row and are not blank."""
    state, zipcode = (_text_literal(value) for value in previous or (None, None))
    is_adjacent = (pl.col("position") - pl.col("position").shift(1, fill_value=-1)) == 1
    has_same_state = pl.col("#state") == pl.col("#state").shift(1, fill_value=state)
    has_same_zipcode = pl.col("zipcode") == pl.col("zipcode").shift(1, fill_value=zipcode)
    is_repeated = is_adjacent & has_same_state & has_same_zipcode & (pl.col("state") != "")
    zipcode_of_repeated = pl.when(is_repeated).then(pl.col("zipcode"))
    return (zipcode_of_repeated.str.strip_chars(WHITE_SPACE) != "").fill_null(False)


def _text_literal(value: bytes | None) -> pl.Expr:
    return pl.lit(None if value is None else value.decode("utf-8"), pl.String)


def _failed_bits(policy: Policy, today: date) -> pl.Expr:
    bits = [pl.when(_FAILURE_CONDITIONS[rule.name](policy, today)).then(rule.bit).otherwise(0) for rule in policy.rules]
    return pl.sum_horizontal(bits) if bits else pl.lit(0)


def _has_excluded_state(policy: Policy, _today: date) -> pl.Expr:
    return ~pl.col("state").is_in(sorted(STATE_CODES - set(policy.excluded_states)))


def _has_invalid_email(_policy: Policy, _today: date) -> pl.Expr:
    return ~pl.col("email").str.contains(EMAIL)


def _digits() -> pl.Expr:
    return pl.col("zipcode").str.replace_all("[^0-9]", "")


def _has_large_zipcode_sum(policy: Policy, _today: date) -> pl.Expr:
    counts = [pl.col("zipcode").str.count_matches(str(digit), literal=True) * digit for digit in range(1, 10)]
    return pl.sum_horizontal(counts) > policy.max_zipcode_sum


def _has_invalid_zipcode_length(_policy: Policy, _today: date) -> pl.Expr:
    return ~_digits().str.len_bytes().is_in(ZIPCODE_LENGTHS)


def _has_net_email_in_new_york(_policy: Policy, _today: date) -> pl.Expr:
    email = pl.when(pl.col("state") == "NY").then(pl.col("email"))
    # Normalizing is slow, and changes nothing in the addresses that consist of visible ASCII characters.
    other = pl.when(~email.str.contains(r"^[!-~]*$")).then(email)
    normalized = other.str.normalize("NFKC").str.strip_chars(WHITE_SPACE)
    return pl.coalesce(normalized, email).str.contains(r"(?i)\.net$").fill_null(False)


def _is_too_young(policy: Policy, today: date) -> pl.Expr:
    return pl.col("birth_date") > latest_birthday(today, policy.min_age)


_FAILURE_CONDITIONS: dict[str, Callable[[Policy, date], pl.Expr]] = {
    "allowed_state": _has_excluded_state,
    "email_pattern": _has_invalid_email,
    "zipcode_sum": _has_large_zipcode_sum,
    "zipcode_length": _has_invalid_zipcode_length,
    "email_state": _has_net_email_in_new_york,
    "allowed_age": _is_too_young,
}
assert set(_FAILURE_CONDITIONS) == {rule.name for rule in RULES}


def _last_state_and_zipcode(rows: pl.DataFrame, malformed: list[tuple[int, Row]]) -> tuple[bytes, bytes] | None:
    """Return state and zip code of the last row of the chunk, None if it could not be split."""
    if not len(rows) or (malformed and malformed[-1][0] > rows["position"][-1]):
        return None
    return rows["#state"][-1].encode(), rows["zipcode"][-1].encode()
