"""What was judged goes in: orders, the report, the counts."""

import io
from collections import Counter
from typing import Any

import polars as pl

from chassis.db import Transaction, UniqueViolation
from orders_service.domain.findings import report_of
from orders_service.domain.headers import Header
from orders_service.domain.judging import Judged
from orders_service.domain.rules import Policy
from orders_service.store import imports, orders

_COLUMNS = ("key", "name", "email", "state", "zipcode", "born", "failed")
# As Postgres writes an array.
_IDS = ("{" + pl.col("key").cast(pl.String).str.join(",") + "}").alias("ids")


class Storing:
    """Of one step of one import."""

    def __init__(self, tx: Transaction, found: dict[str, Any], header: Header, policy: Policy) -> None:
        self._tx, self._found, self._header, self._policy = tx, found, header, policy

    def store(self, judged: Judged) -> dict[str, int]:
        """How many of the rows are valid, invalid, duplicates, rejected."""
        orders.look_up_by_index(self._tx)
        rows = self._insert(judged.rows)
        report = report_of(rows, judged, self._header, self._policy)
        if report:
            imports.insert_report(self._tx, self._found["id"], self._found["next_block"], report)
        told = Counter(dict(rows.group_by(_fate().alias("fate")).len().iter_rows()))
        told["rejected"] += len(judged.broken)
        return told

    def _insert(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows, those of them that another has brought before marked as duplicates; the others are in.

        Who brings the same ids at the same moment makes this wait, and then look again. All do it in the order of the
        ids, so that nobody waits for who waits for him.
        """
        while True:
            marked = self._mark_known(rows)
            new = marked.filter(pl.col("reason").is_null()).sort("key")
            self._tx.run("SAVEPOINT before_insert")
            try:
                self._copy(new)
            except UniqueViolation:
                self._tx.run("ROLLBACK TO SAVEPOINT before_insert")
            else:
                return marked

    def _mark_known(self, rows: pl.DataFrame) -> pl.DataFrame:
        ids = rows.filter(pl.col("reason").is_null())["key"]
        known = orders.list_known_ids(self._tx, _array(ids), self._found["id"] if self._found["dry_run"] else None)
        if not known:
            return rows
        is_known = pl.col("reason").is_null() & pl.col("key").is_in(pl.Series(known, dtype=pl.Int64).implode())
        return rows.with_columns(pl.when(is_known).then(pl.lit("duplicate")).otherwise("reason").alias("reason"))

    def _copy(self, new: pl.DataFrame) -> None:
        if self._found["dry_run"]:
            orders.insert_dry_ids(self._tx, _csv(new.select(pl.lit(self._found["id"]), "key")))
            return
        orders.insert_orders(self._tx, _csv(new.select(_COLUMNS)))
        # Only what can be asked for is counted, and listed, by itself.
        state = pl.when(pl.col("state").str.contains("^[A-Za-z]{2}$")).then(pl.col("state").str.to_uppercase())
        valid = (pl.col("failed") == 0).alias("valid")
        by_state = new.group_by(state.fill_null("").alias("of"), valid).agg(_IDS, pl.len())
        by_zipcode = new.group_by(pl.col("zipcode").str.slice(0, orders.BEGINNING)).agg(_IDS)
        orders.insert_lists(self._tx, _csv(by_state.drop("len")), _csv(by_zipcode))
        orders.insert_counts(self._tx, by_state.drop("ids").rows())


def _fate() -> pl.Expr:
    return (
        pl.when(pl.col("reason") == "duplicate")
        .then(pl.lit("duplicates"))
        .when(pl.col("reason").is_not_null())
        .then(pl.lit("rejected"))
        .when(pl.col("failed") == 0)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("invalid"))
    )


def _array(ids: pl.Series) -> str:
    """As Postgres writes it: one constant, where a list would become thousands."""
    return f"{{{ids.cast(pl.String).str.join(',').item() or ''}}}"


def _csv(rows: pl.DataFrame) -> io.BytesIO:
    """Of which an empty text is quoted, so that Postgres takes it for no NULL."""
    file = io.BytesIO()
    rows.write_csv(file, include_header=False, quote_style="necessary")
    file.seek(0)
    return file
