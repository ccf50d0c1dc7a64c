"""Storage of validated rows: new orders, their counts and the error report."""

import io
from collections import Counter

import polars as pl

from chassis.db import Transaction, UniqueViolation
from orders_service.domain.headers import Header
from orders_service.domain.imports import Import
from orders_service.domain.report_rows import build_report
from orders_service.domain.rules import Policy
from orders_service.domain.validation import ValidatedRows
from orders_service.store import orders, reports


def write_rows(
    tx: Transaction, import_: Import, header: Header, validated: ValidatedRows, policy: Policy
) -> Counter[str]:
    """Store the rows; return the numbers of `valid`, `invalid`, `duplicates` and `rejected` rows."""
    rows = _insert_orders(tx, import_, validated.rows)
    if not import_.dry_run:
        orders.insert_counts(tx, _counts_by_state(rows))
    if report := build_report(rows, validated.malformed, header, policy):
        reports.insert_section(tx, import_.id, import_.section_number, report)
    outcomes = Counter(dict(rows.group_by(_outcome()).len().iter_rows()))
    outcomes["rejected"] += len(validated.malformed)
    return outcomes


def _insert_orders(tx: Transaction, import_: Import, rows: pl.DataFrame) -> pl.DataFrame:
    """Insert the orders whose IDs are new; return all rows, with the others marked as duplicates.

    If another import inserts the same IDs concurrently, this one waits for its transaction and checks again. All
    imports insert in the order of the IDs, which prevents deadlocks.
    """
    while True:
        marked = _mark_duplicates(tx, import_, rows)
        new_orders = marked.filter(_IS_ORDER).sort("order_id")
        tx.run("SAVEPOINT before_insert")
        try:
            if import_.dry_run:
                orders.insert_dry_ids(tx, _csv(new_orders.select(pl.lit(import_.id), "order_id")))
            else:
                orders.insert_orders(tx, _csv(new_orders.select(_STORED_COLUMNS)))
            return marked
        except UniqueViolation:
            tx.run("ROLLBACK TO SAVEPOINT before_insert")


def _mark_duplicates(tx: Transaction, import_: Import, rows: pl.DataFrame) -> pl.DataFrame:
    ids = rows.filter(_IS_ORDER)["order_id"].sort()
    # An array literal of Postgres is a single constant; a list would become thousands of them.
    array = "{" + ",".join(map(str, ids)) + "}"
    existing = orders.list_existing_ids(tx, array, import_.id if import_.dry_run else None)
    is_duplicate = _IS_ORDER & pl.col("order_id").is_in(pl.Series(existing, dtype=pl.Int64).implode())
    return rows.with_columns(pl.when(is_duplicate).then(pl.lit("duplicate")).otherwise("reason").alias("reason"))


_IS_ORDER = pl.col("reason").is_null()
_STORED_COLUMNS = ("order_id", "name", "email", "state", "zipcode", "birth_date", "failed")


def _counts_by_state(rows: pl.DataFrame) -> list[tuple[str, bool, int]]:
    """Return (state, valid, count) per state of two letters; other states, which cannot be queried, share one row."""
    state = pl.when(pl.col("state").str.contains("^[A-Za-z]{2}$")).then(pl.col("state").str.to_uppercase())
    valid = (pl.col("failed") == 0).alias("valid")
    return rows.filter(_IS_ORDER).group_by(state.fill_null(""), valid).len().rows()


def _outcome() -> pl.Expr:
    return (
        pl.when(pl.col("reason") == "duplicate")
        .then(pl.lit("duplicates"))
        .when(pl.col("reason").is_not_null())
        .then(pl.lit("rejected"))
        .when(pl.col("failed") == 0)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("invalid"))
    )


def _csv(rows: pl.DataFrame) -> io.BytesIO:
    """Return the rows in the format of COPY; empty texts are quoted, because Postgres reads unquoted ones as NULL."""
    buffer = io.BytesIO()
    rows.write_csv(buffer, include_header=False, quote_style="necessary")
    buffer.seek(0)
    return buffer
