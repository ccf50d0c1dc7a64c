"""Judged rows as the entries of a report."""

import polars as pl

from orders_service.domain.headers import Header
from orders_service.domain.judging import Judged
from orders_service.domain.reports import PART, as_cell
from orders_service.domain.rules import RULES, Policy
from orders_service.domain.splitting import Row
from orders_service.domain.tables import UNREADABLE

_LONGEST_SHOWN_BYTES = 1000
# A number is none, though it may begin with a minus.
_IS_FORMULA = r"^'*[=+\-@\t\r]"
_IS_NUMBER = r"^-[0-9]+$"


def report_of(rows: pl.DataFrame, judged: Judged, header: Header, policy: Policy) -> bytes:
    """Of the rows that are no valid orders, in the order of the file; `rows` are those that could be split."""
    told = rows.filter(pl.col("reason").is_not_null() | (pl.col("failed") != 0))
    split = told.select("at", _findings(policy), pl.col("#line").cast(pl.String).alias("line"), _cells(header))
    broken = pl.DataFrame([_entry(at, row, header) for at, row in judged.broken], schema=split.schema, orient="row")
    both = pl.concat([split, broken]).sort("at")
    entry = pl.concat_str("findings", "line", "cells", separator=PART)
    return (both.select(entry.str.join(PART)).item() or "").encode("utf-8")


def _findings(policy: Policy) -> pl.Expr:
    names = []
    for rule in RULES:
        fails = (pl.col("failed") & rule.bit) != 0
        name = pl.lit(f"{rule.name} ")
        if rule.about == "state":
            name = pl.concat_str(pl.lit(f"{rule.name}:"), pl.col("state").str.to_uppercase(), pl.lit(" "))
        elif rule.about == "age":
            name = pl.lit(f"{rule.name}:{policy.smallest_age} ")
        names.append(pl.when(fails).then(name).otherwise(pl.lit("")))
    return pl.coalesce("reason", pl.concat_str(names).str.strip_chars_end(" ")).alias("findings")


def _cells(header: Header) -> pl.Expr:
    return pl.concat_str(
        [_cell(name, header.separator) for name in header.own_columns], separator=header.separator
    ).alias("cells")


def _cell(name: str, separator: str) -> pl.Expr:
    text = pl.col(name)
    is_formula = text.str.contains(_IS_FORMULA) & ~text.str.contains(_IS_NUMBER)
    harmless = pl.when(is_formula).then(pl.concat_str(pl.lit("'"), text)).otherwise(text)
    has_special = pl.any_horizontal(
        [text.str.contains(special, literal=True) for special in (separator, '"', "\n", "\r")]
    )
    quoted = pl.concat_str(pl.lit('"'), harmless.str.replace_all('"', '""', literal=True), pl.lit('"'))
    return pl.when(has_special).then(quoted).otherwise(harmless)


def _entry(at: int, row: Row, header: Header) -> tuple[int, str, str, str]:
    """A row that could not be split stands whole in the first cell."""
    raw = row.raw.rstrip(b"\r\n")
    if row.reason == "too_long":
        raw = raw[:_LONGEST_SHOWN_BYTES] + "…".encode()
    text = raw.decode("utf-8", "replace").replace("\0", UNREADABLE)
    if text.lstrip("'")[:1] in ("=", "+", "-", "@", "\t", "\r") and text:
        text = f"'{text}"
    others = header.separator * (len(header.own_columns) - 1)
    return at, row.reason or "fields", str(row.line), as_cell(text, header.separator) + others
