"""Validated rows as the entries of an error report."""

import polars as pl

from orders_service.domain.csv_rows import Row
from orders_service.domain.csv_tables import UNREADABLE
from orders_service.domain.formulas import CONTAINS_FORMULA, escape
from orders_service.domain.headers import Header
from orders_service.domain.reports import PART, as_cell
from orders_service.domain.rules import RULES, Policy

_MAX_SHOWN_BYTES = 1000


def report_of(rows: pl.DataFrame, broken: list[tuple[int, Row]], header: Header, policy: Policy) -> bytes:
    """Return the entries of the rows that are not valid orders, in the order of the file.

    `broken` rows, (at, row), could not be split.
    """
    reported = rows.filter(pl.col("reason").is_not_null() | (pl.col("failed") != 0))
    harmless = reported.select(_harmless(reported[name]) for name in header.own_columns)
    split = reported.select("at", _findings(policy), pl.col("#line").cast(pl.String).alias("line"))
    split = split.with_columns(harmless.select(_cells(header))["cells"])
    unsplit = pl.DataFrame([_entry(at, row, header) for at, row in broken], schema=split.schema, orient="row")
    entry = pl.concat_str("findings", "line", "cells", separator=PART)
    return (pl.concat([split, unsplit]).sort("at").select(entry.str.join(PART)).item() or "").encode("utf-8")


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
    has_special = pl.any_horizontal(
        [text.str.contains(special, literal=True) for special in (separator, '"', "\n", "\r")]
    )
    quoted = pl.concat_str(pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"'))
    return pl.when(has_special).then(quoted).otherwise(text)


def _harmless(cells: pl.Series) -> pl.Series:
    """Few have a formula: only these are looked at one by one."""
    has_formula = cells.str.contains(CONTAINS_FORMULA)
    if not has_formula.any():
        return cells
    formulas = cells.filter(has_formula).unique()
    return cells.replace(formulas, pl.Series([escape(text) for text in formulas], dtype=pl.String))


def _entry(at: int, row: Row, header: Header) -> tuple[int, str, str, str]:
    """A row that could not be split stands whole in the first cell."""
    raw = row.raw.rstrip(b"\r\n")
    if row.reason == "too_long":
        raw = raw[:_MAX_SHOWN_BYTES] + "…".encode()
    text = raw.decode("utf-8", "replace").replace("\0", UNREADABLE)
    others = header.separator * (len(header.own_columns) - 1)
    return at, row.reason or "fields", str(row.line), as_cell(escape(text), header.separator) + others
