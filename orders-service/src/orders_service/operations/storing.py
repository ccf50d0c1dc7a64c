"""What was judged goes in: orders, the report, the counts."""

import io
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Beside:
    """What goes in beside the orders, and how many rows are valid, invalid, duplicates, rejected."""

    report: bytes
    by_state: io.BytesIO
    by_zipcode: io.BytesIO
    counts: list[tuple[str, bool, int]]
    told: Counter[str]


class Storing:
    """Of one step of one import. What Postgres need not wait for is worked out in the thread."""

    def __init__(
        self, tx: Transaction, found: dict[str, Any], header: Header, policy: Policy, thread: ThreadPoolExecutor
    ) -> None:
        self._tx, self._found, self._header, self._policy, self._thread = tx, found, header, policy, thread

    def store(self, judged: Judged) -> dict[str, int]:
        """How many of the rows are valid, invalid, duplicates, rejected."""
        orders.look_up_by_index(self._tx)
        beside = self._insert(judged).result()
        if not self._found["dry_run"]:
            orders.insert_lists(self._tx, beside.by_state, beside.by_zipcode)
            orders.insert_counts(self._tx, beside.counts)
        if beside.report:
            imports.insert_report(self._tx, self._found["id"], self._found["next_block"], beside.report)
        return beside.told

    def _insert(self, judged: Judged) -> Future[_Beside]:
        """Those of the rows are in that no other has brought before; the others are duplicates.

        Who brings the same ids at the same moment makes this wait, and then look again. All do it in the order of the
        ids, so that nobody waits for who waits for him.
        """
        while True:
            marked = self._mark_known(judged.rows)
            new = marked.select(*_COLUMNS, "reason").filter(pl.col("reason").is_null()).drop("reason").sort("key")
            beside = self._thread.submit(self._beside, marked, new, judged)
            self._tx.run("SAVEPOINT before_insert")
            try:
                self._copy(new)
            except UniqueViolation:
                self._tx.run("ROLLBACK TO SAVEPOINT before_insert")
            else:
                return beside

    def _mark_known(self, rows: pl.DataFrame) -> pl.DataFrame:
        ids = rows.select(pl.col("key").filter(pl.col("reason").is_null()))["key"]
        known = orders.list_known_ids(self._tx, _array(ids), self._found["id"] if self._found["dry_run"] else None)
        if not known:
            return rows
        is_known = pl.col("reason").is_null() & pl.col("key").is_in(pl.Series(known, dtype=pl.Int64).implode())
        return rows.with_columns(pl.when(is_known).then(pl.lit("duplicate")).otherwise("reason").alias("reason"))

    def _copy(self, new: pl.DataFrame) -> None:
        if self._found["dry_run"]:
            orders.insert_dry_ids(self._tx, _csv(new.select(pl.lit(self._found["id"]), "key")))
        else:
            orders.insert_orders(self._tx, _csv(new))

    def _beside(self, marked: pl.DataFrame, new: pl.DataFrame, judged: Judged) -> _Beside:
        # Only what can be asked for is counted, and listed, by itself.
        state = pl.when(pl.col("state").str.contains("^[A-Za-z]{2}$")).then(pl.col("state").str.to_uppercase())
        valid = (pl.col("failed") == 0).alias("valid")
        by_state = new.group_by(state.fill_null("").alias("of"), valid).agg(_IDS, pl.len())
        by_zipcode = new.group_by(pl.col("zipcode").str.slice(0, orders.BEGINNING)).agg(_IDS)
        told = Counter(dict(marked.group_by(_fate().alias("fate")).len().iter_rows()))
        told["rejected"] += len(judged.broken)
        report = report_of(marked, judged, self._header, self._policy)
        return _Beside(report, _csv(by_state.drop("len")), _csv(by_zipcode), by_state.drop("ids").rows(), told)


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
