"""An import, step by step: as many pieces of the file as fit into the time, in one transaction."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from chassis import outbox, strictjson
from chassis.db import Deadlock, Transaction, UniqueViolation
from chassis.errors import Unavailable
from orders_service.domain.findings import report_of
from orders_service.domain.headers import BYTE_ORDER_MARK, BadHeader, Header, header_of
from orders_service.domain.judging import Judged, judge
from orders_service.domain.rules import Policy
from orders_service.domain.splitting import LONGEST_ROW_BYTES
from orders_service.domain.tables import Place
from orders_service.operations.uploading import step_of
from orders_service.store import imports, orders, uploads

_STORED = ("key", "name", "email", "state", "zipcode", "born", "failed")


def take_step(tx: Transaction, import_id: str, policy: Policy, now: datetime, is_time_up: Callable[[], bool]) -> None:
    """Goes on where the last step ended, and asks for the next one or ends the import.

    All that it does is committed together with where the next one goes on, so that it may die at any moment.
    """
    found = imports.lock_import(tx, import_id)
    if found is None or found["status"] not in ("PENDING", "PROGRESS"):
        return
    if found["cancelled"]:
        _end(tx, found, now, "cancelled")
        return
    try:
        _Step(tx, found, policy, now).run(is_time_up)
    except BadHeader as bad:
        _end(tx, found, now, bad.reason, bad.names)


def _end(
    tx: Transaction, found: dict[str, Any], now: datetime, reason: str | None, names: tuple[str, ...] = ()
) -> None:
    status = "FAILURE" if reason else "SUCCESS"
    uploads.delete_blocks(tx, found["id"])
    ended = imports.update_ended(tx, found["id"], status=status, reason=reason, names=strictjson.dumps(names), now=now)
    payload = {name: ended[name] for name in _TOLD}
    if reason:
        payload |= {"reason": reason, "names": list(names)}
    name = "OrdersImportFailed" if reason else "OrdersImported"
    outbox.add(tx, outbox.service_event("orders", name, payload, now=now, request_id=found["request_id"]))


_TOLD = ("task_id", "batch_no", "file_name", "dry_run", "total", "valid", "invalid", "duplicates", "rejected")


class _Step:
    def __init__(self, tx: Transaction, found: dict[str, Any], policy: Policy, now: datetime) -> None:
        self._tx, self._found, self._policy, self._now = tx, found, policy, now
        self._next_block: int = found["next_block"]
        self._place = _place_of(found)
        self._header: Header | None = None
        if found["separator"]:
            self._header = Header(found["separator"], tuple(strictjson.loads(found["columns"].encode())))
        self._told: Counter[str] = Counter()
        self._by_state: Counter[tuple[str, bool]] = Counter()

    def run(self, is_time_up: Callable[[], bool]) -> None:
        header = self._header = self._header or self._read_header()
        if header:
            orders.look_up_by_index(self._tx)
            for number, judged in self._judged_ahead(header, is_time_up):
                self._store(number, judged, header)
        self._remember(header)
        if self._is_at_end:
            _end(self._tx, self._found, self._now, None)
        else:
            outbox.add(self._tx, step_of(self._found["id"], self._found["request_id"]))

    @property
    def _is_at_end(self) -> bool:
        return self._next_block >= self._found["blocks"]

    def _take_block(self) -> bytes:
        if self._is_at_end:
            return b""
        block = uploads.get_block(self._tx, self._found["id"], self._next_block)
        self._next_block += 1
        return block

    def _read_header(self) -> Header | None:
        """None where nothing is in the file. What comes behind it in the same piece is the rest."""
        data = self._take_block().removeprefix(BYTE_ORDER_MARK)
        line = 1
        while True:
            text = data.lstrip(b"\r\n")
            line += data[: len(data) - len(text)].count(b"\n")
            data = text
            if b"\n" in data or self._is_at_end or len(data) > LONGEST_ROW_BYTES:
                break
            data += self._take_block()
        if not data:
            return None
        first, found, rest = data.partition(b"\n")
        self._place = Place(line + len(found), rest)
        return header_of(first)

    def _judged_ahead(self, header: Header, is_time_up: Callable[[], bool]) -> Iterator[tuple[int, Judged]]:
        """With the number of the block. While one piece is stored, the next is judged in a thread."""

        def start() -> Any:
            number, block = self._next_block, self._take_block()
            return number, thread.submit(
                judge, block, header, self._place, self._policy, self._found["uploaded_at"].date(),
                at_end=self._is_at_end,
            )  # fmt: skip

        with ThreadPoolExecutor(1) as thread:
            number, under_way = start()
            while True:
                judged = under_way.result()
                self._place = judged.behind
                is_last = self._is_at_end or is_time_up()
                if is_last:
                    yield number, judged
                    return
                following = start()
                yield number, judged
                number, under_way = following

    def _store(self, number: int, judged: Judged, header: Header) -> None:
        rows = self._insert(judged.rows)
        fate = pl.when(pl.col("reason") == "duplicate").then(pl.lit("duplicates")).when(
            pl.col("reason").is_not_null()).then(pl.lit("rejected")).when(
            pl.col("failed") == 0).then(pl.lit("valid")).otherwise(pl.lit("invalid"))  # fmt: skip
        self._told.update(dict(rows.group_by(fate.alias("fate")).len().iter_rows()))
        self._told["rejected"] += len(judged.broken)
        report = report_of(rows, judged, header, self._policy)
        if report:
            imports.insert_report(self._tx, self._found["id"], number, report)

    def _insert(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows, those of them that another has brought before marked as duplicates, the others stored.

        Who brings the same ids at the same moment makes this wait, and then look again.
        """
        while True:
            marked = self._mark_known(rows)
            new = marked.filter(pl.col("reason").is_null()).sort("key")
            self._tx.run("SAVEPOINT before_insert")
            try:
                self._copy(new)
            except UniqueViolation:
                self._tx.run("ROLLBACK TO SAVEPOINT before_insert")
            except Deadlock as error:
                raise Unavailable("another import brings the same orders") from error
            else:
                return marked

    def _mark_known(self, rows: pl.DataFrame) -> pl.DataFrame:
        ids = rows.filter(pl.col("reason").is_null())["key"].to_list()
        if not ids:
            return rows
        if self._found["dry_run"]:
            known = orders.list_known_dry_ids(self._tx, self._found["id"], ids)
        else:
            known = orders.list_known_ids(self._tx, ids)
        if not known:
            return rows
        is_known = pl.col("reason").is_null() & pl.col("key").is_in(pl.Series(known, dtype=pl.Int64).implode())
        return rows.with_columns(pl.when(is_known).then(pl.lit("duplicate")).otherwise("reason").alias("reason"))

    def _copy(self, new: pl.DataFrame) -> None:
        if not len(new):
            return
        if self._found["dry_run"]:
            ids = new.select(pl.lit(self._found["id"]), "key")
            orders.insert_dry_ids(self._tx, io.BytesIO(ids.write_csv(include_header=False).encode()))
            return
        csv = io.BytesIO()
        new.select(_STORED).write_csv(csv, include_header=False, quote_style="non_numeric")
        csv.seek(0)
        orders.insert_orders(self._tx, csv)
        state = pl.when(pl.col("state").str.contains("^[A-Za-z]{2}$")).then(pl.col("state").str.to_uppercase())
        counted = new.group_by(state.fill_null("").alias("of"), (pl.col("failed") == 0).alias("valid")).len()
        for of, valid, count in counted.iter_rows():
            self._by_state[of, valid] += count

    def _remember(self, header: Header | None) -> None:
        orders.insert_counts(self._tx, [(*key, count) for key, count in sorted(self._by_state.items())])
        uploads.delete_blocks(self._tx, self._found["id"], self._found["next_block"], self._next_block)
        state, zipcode = self._place.before or (None, None)
        imports.update_progress(
            self._tx,
            self._found["id"],
            **{name: self._told[name] for name in ("valid", "invalid", "duplicates", "rejected")},
            now=self._now,
            next_block=self._next_block,
            separator=header.separator if header else None,
            columns=strictjson.dumps(header.columns) if header else None,
            line=self._place.line,
            rest=self._place.rest,
            skipping=self._place.skipping,
            state_before=state,
            zipcode_before=zipcode,
        )


def _place_of(found: dict[str, Any]) -> Place:
    before = None
    if found["state_before"] is not None:
        before = bytes(found["state_before"]), bytes(found["zipcode_before"])
    return replace(Place(found["line"], bytes(found["rest"])), skipping=found["skipping"], before=before)
