"""Validated rows as the entries of an error report."""

import codecs

import polars as pl

from orders_service.domain.csv_rows import Row
from orders_service.domain.encodings import escape_unreadable
from orders_service.domain.formulas import CONTAINS_FORMULA, escape
from orders_service.domain.headers import Header
from orders_service.domain.reports import FIELD_SEPARATOR, quote_cell
from orders_service.domain.rules import RULES, Policy

_MAX_SHOWN_BYTES, _MAX_SHOWN_STATE_LENGTH = 1000, 60


def build_report(rows: pl.DataFrame, malformed: list[tuple[int, Row]], header: Header, policy: Policy) -> bytes:
    """Return the entries of all rows that are not valid orders, in the order of the file.

    `malformed` rows, as (position, row), could not be split into fields.
    """
    reported = rows.filter(pl.col("reason").is_not_null() | (pl.col("failed") != 0))
    # The cells are reported as they are in the file.
    written = reported.drop("state").rename({"#state": "state"})
    escaped = written.select("#cells", *(_escape_formulas(written[name]) for name in header.reported_columns))
    entries_of_rows = reported.select("position", _findings(policy), pl.col("#line").cast(pl.String).alias("line"))
    entries_of_rows = entries_of_rows.with_columns(escaped.select(_cells(header))["cells"])
    entries_of_malformed = pl.DataFrame(
        [_malformed_entry(position, row, header) for position, row in malformed],
        schema=entries_of_rows.schema,
        orient="row",
    )
    entry = pl.concat_str("findings", "line", "cells", separator=FIELD_SEPARATOR)
    entries = pl.concat([entries_of_rows, entries_of_malformed]).sort("position")
    return (entries.select(entry.str.join(FIELD_SEPARATOR)).item() or "").encode("utf-8")


def _findings(policy: Policy) -> pl.Expr:
    names = []
    for rule in RULES:
        is_violated = (pl.col("failed") & rule.bit) != 0
        name = pl.lit(f"{rule.name} ")
        if rule.parameter == "state":
            # A space separates the findings.
            state = pl.col("state").str.slice(0, _MAX_SHOWN_STATE_LENGTH).str.replace_all(" ", "\u00a0", literal=True)
            name = pl.concat_str(pl.lit(f"{rule.name}:"), state, pl.lit(" "))
        elif rule.parameter == "age":
            name = pl.lit(f"{rule.name}:{policy.min_age} ")
        names.append(pl.when(is_violated).then(name).otherwise(pl.lit("")))
    return pl.coalesce("reason", pl.concat_str(names).str.strip_chars_end(" ")).alias("findings")


def _cells(header: Header) -> pl.Expr:
    cells = [_quoted_cell(name, header.separator) for name in header.reported_columns]
    return pl.coalesce("#cells", pl.concat_str(cells, separator=header.separator)).alias("cells")


def _quoted_cell(name: str, separator: str) -> pl.Expr:
    text = pl.col(name)
    has_special = pl.any_horizontal(
        [text.str.contains(special, literal=True) for special in (separator, '"', "\n", "\r")]
    )
    quoted = pl.concat_str(pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"'))
    return pl.when(has_special).then(quoted).otherwise(text)


def _escape_formulas(cells: pl.Series) -> pl.Series:
    """Escape the formulas. Few cells contain one, so only these are processed one by one."""
    has_formula = cells.str.contains(CONTAINS_FORMULA)
    if not has_formula.any():
        return cells
    formulas = cells.filter(has_formula).unique()
    return cells.replace(formulas, pl.Series([escape(text) for text in formulas], dtype=pl.String))


def _malformed_entry(position: int, row: Row, header: Header) -> tuple[int, str, str, str]:
    """Return the entry of a row that could not be split, which is placed whole in the first cell."""
    raw = row.raw.rstrip(b"\r\n")
    if row.reason == "too_long":
        # An incomplete character at the end is omitted.
        text = codecs.utf_8_decode(raw[:_MAX_SHOWN_BYTES], "surrogateescape", False)[0] + "…"
    else:
        text = raw.decode("utf-8", "surrogateescape")
    text = escape_unreadable(text)
    empty_cells = header.separator * (len(header.reported_columns) - 1)
    return position, row.reason or "fields", str(row.line), quote_cell(escape(text), header.separator) + empty_cells
