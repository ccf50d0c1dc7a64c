"""Storage of validated rows: new and replaced orders, their counts and the error report."""

import io
from collections import Counter

import polars as pl

from chassis.db import Transaction, UniqueViolation
from orders_service.domain.headers import Header
from orders_service.domain.imports import Import
from orders_service.domain.report_rows import build_report
from orders_service.domain.rules import Policy
from orders_service.domain.validation import ValidatedRows
from orders_service.store import orders, reports, undos


def write_rows(
    tx: Transaction, import_: Import, header: Header, validated: ValidatedRows, policy: Policy
) -> Counter[str]:
    """Store the rows; return the numbers of `valid`, `invalid`, `updated`, `duplicates` and `rejected` rows."""
    rows = _store_orders(tx, import_, validated.rows)
    if report := build_report(rows, validated.malformed, header, policy):
        reports.insert_section(tx, import_.id, import_.section_number, report)
    outcomes = Counter(dict(rows.group_by(_outcome()).len().iter_rows()))
    outcomes["rejected"] += len(validated.malformed)
    outcomes["updated"] = len(rows.filter(_IS_ORDER & pl.col("is_stored")))
    return outcomes


def _store_orders(tx: Transaction, import_: Import, rows: pl.DataFrame) -> pl.DataFrame:
    """Store the orders; return all rows with the duplicates marked, and `is_stored`: whether the ID existed already.

    If another import inserts the same IDs concurrently, this one waits for its transaction and checks again. All
    imports insert in the order of the IDs, which prevents deadlocks.
    """
    if not import_.dry_run:
        orders.lock_changes(tx, is_exclusive=import_.may_update)
    while True:
        marked = _mark_duplicates(tx, import_, rows)
        new_rows = marked.filter(_IS_ORDER).sort("order_id")
        tx.run("SAVEPOINT before_insert")
        try:
            if import_.dry_run or import_.may_update:
                orders.insert_seen_ids(tx, _csv(new_rows.select(pl.lit(import_.id), "order_id")))
            if not import_.dry_run:
                _write_orders(tx, import_, new_rows)
            return marked
        except UniqueViolation:
            tx.run("ROLLBACK TO SAVEPOINT before_insert")


def _mark_duplicates(tx: Transaction, import_: Import, rows: pl.DataFrame) -> pl.DataFrame:
    """Mark the rows that have the ID of an earlier row or, unless the import may update them, of a stored order."""
    ids = _array(rows.filter(_IS_ORDER)["order_id"].sort())
    stored_ids = orders.list_existing_ids(tx, ids)
    duplicate_ids = [] if import_.may_update else stored_ids
    if import_.dry_run or import_.may_update:
        duplicate_ids = duplicate_ids + orders.list_seen_ids(tx, import_.id, ids)
    return rows.with_columns(
        pl.when(_IS_ORDER & _has_id_in(duplicate_ids)).then(pl.lit("duplicate")).otherwise("reason").alias("reason"),
        _has_id_in(stored_ids).fill_null(False).alias("is_stored"),
    )


def _write_orders(tx: Transaction, import_: Import, rows: pl.DataFrame) -> None:
    """Insert the orders; those that replace a stored one keep the number of the import that created it."""
    counts = _counts_by_state(rows)
    new_ids = rows.filter(~pl.col("is_stored"))["order_id"]
    rows = rows.with_columns(pl.lit(import_.number).alias("import_number"))
    if len(new_ids) < len(rows):
        replaced = orders.delete_replaced(tx, _array(rows.filter("is_stored")["order_id"]))
        removed = Counter((state, valid) for _, _, state, valid in replaced)
        counts += [(state, valid, -count) for (state, valid), count in removed.items()]
        rows = _restore_numbers(rows, {id_: number for id_, number, _, _ in replaced})
    orders.insert_orders(tx, _csv(rows.select(_STORED_COLUMNS)))
    orders.insert_counts(tx, counts)
    if len(new_ids):
        undos.update_created(tx, import_.id, len(new_ids), new_ids[0], new_ids[-1])


def _restore_numbers(rows: pl.DataFrame, numbers: dict[int, int | None]) -> pl.DataFrame:
    """Replace the import numbers of the orders with these IDs."""
    restored = pl.DataFrame(
        {"order_id": numbers.keys(), "restored": numbers.values()}, schema={"order_id": pl.Int64, "restored": pl.Int64}
    )
    number = pl.when("is_stored").then("restored").otherwise("import_number").alias("import_number")
    return rows.join(restored, on="order_id", how="left").with_columns(number)


_IS_ORDER = pl.col("reason").is_null()
_STORED_COLUMNS = ("order_id", "name", "email", "state", "zipcode", "birth_date", "failed", "import_number")


def _has_id_in(ids: list[int]) -> pl.Expr:
    return pl.col("order_id").is_in(pl.Series(ids, dtype=pl.Int64).implode())


def _array(ids: pl.Series) -> str:
    """Return an array literal of Postgres, which is a single constant; a list would become thousands of them."""
    return "{" + ",".join(map(str, ids)) + "}"


def _counts_by_state(rows: pl.DataFrame) -> list[orders.StateCount]:
    """Return (state, valid, count) per state of two letters; other states, which cannot be queried, share one row."""
    state = pl.when(pl.col("state").str.contains("^[A-Za-z]{2}$")).then(pl.col("state").str.to_uppercase())
    valid = (pl.col("failed") == 0).alias("valid")
    return rows.group_by(state.fill_null(""), valid).len().rows()


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
