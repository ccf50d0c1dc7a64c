"""An import in turns, each of many steps: a piece of the file, in one transaction with where the next one begins."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from chassis import strictjson
from chassis.db import Database, Transaction
from chassis.messaging import outbox
from orders_service.domain.headers import BYTE_ORDER_MARK, BadHeader, Header, header_of
from orders_service.domain.judging import Judged, judge
from orders_service.domain.rules import Policy
from orders_service.domain.splitting import LONGEST_ROW_BYTES
from orders_service.domain.tables import Place
from orders_service.operations.storing import Storing
from orders_service.operations.uploading import turn_of
from orders_service.store import imports, uploads

_BLOCKS_A_STEP, _BYTES_A_STEP = 8, 2 * 1024 * 1024


@dataclass(frozen=True)
class _Ahead:
    """A piece that is being judged: blocks from `first` up to, not including, `end`."""

    first: int
    end: int
    judged: Future[Judged]


class Import:
    def __init__(self, database: Database, import_id: str, turn: int, policy: Policy) -> None:
        self._database, self._id, self._turn, self._policy = database, import_id, turn, policy

    def take_turn(self, clock: Callable[[], datetime], is_time_up: Callable[[int], bool]) -> None:
        """Goes on from where the import stands, until it ends or time is up; then asks for the next turn.

        `is_time_up` is told how many blocks of the file are left.
        While a piece is stored, the next one is judged in a thread. May die at any moment, and be repeated at any
        moment: a step begins by locking the import, and what was judged for another place is thrown away.
        """
        ahead: _Ahead | None = None
        with ThreadPoolExecutor(1) as thread:
            goes_on = True
            while goes_on:
                with self._database.transaction() as tx:
                    found = self._lock(tx)
                    if found is None:
                        return
                    goes_on, ahead = self._step(tx, found, ahead, thread, clock(), is_time_up)

    def _lock(self, tx: Transaction) -> dict[str, Any] | None:
        """None where there is nothing to do any more in this turn."""
        found = imports.lock_import(tx, self._id)
        is_ours = found and found["status"] in ("PENDING", "PROGRESS") and found["turn"] == self._turn
        return found if is_ours else None

    def _step(
        self,
        tx: Transaction,
        found: dict[str, Any],
        ahead: _Ahead | None,
        thread: ThreadPoolExecutor,
        now: datetime,
        is_time_up: Callable[[int], bool],
    ) -> tuple[bool, _Ahead | None]:
        """Whether the turn goes on, and what is judged ahead for it."""
        if found["cancelled"]:
            return _end(tx, found, now, "cancelled"), None
        if found["separator"] is None:
            return _begin(tx, found, now), None
        header = Header(found["separator"], tuple(strictjson.loads(found["columns"].encode())))
        if ahead is None or ahead.first != found["next_block"]:
            ahead = self._judge(tx, found, header, _place_of(found), found["next_block"], thread)
        judged, end = ahead.judged.result(), ahead.end
        is_last = end >= found["blocks"]
        goes_on = not is_last and not is_time_up(found["blocks"] - end)
        following = self._judge(tx, found, header, judged.behind, end, thread) if goes_on else None
        told = Storing(tx, found, header, self._policy, thread).store(judged)
        _remember(tx, found, judged.behind, end, told, now)
        if is_last:
            _end(tx, found, now)
        elif not goes_on:
            imports.update_turn(tx, self._id, self._turn + 1)
            outbox.add(tx, turn_of(self._id, self._turn + 1, found["request_id"]))
        return goes_on, following

    def _judge(
        self,
        tx: Transaction,
        found: dict[str, Any],
        header: Header,
        place: Place,
        first: int,
        thread: ThreadPoolExecutor,
    ) -> _Ahead:
        piece, end = b"", first
        while end < min(first + _BLOCKS_A_STEP, found["blocks"]) and len(piece) < _BYTES_A_STEP:
            piece += uploads.get_block(tx, self._id, end)
            end += 1
        # The day of the upload, whenever this is.
        today = found["uploaded_at"].astimezone(UTC).date()
        is_last = end == found["blocks"]
        return _Ahead(first, end, thread.submit(judge, piece, header, place, self._policy, today, at_end=is_last))


def _begin(tx: Transaction, found: dict[str, Any], now: datetime) -> bool:
    """Reads the header, and says whether it goes on. What stands behind it in the same block is the rest."""
    data, line, next_block = b"", 1, 0
    while next_block < found["blocks"] and b"\n" not in data and len(data) < LONGEST_ROW_BYTES:
        data += uploads.get_block(tx, found["id"], next_block)
        data = data.removeprefix(BYTE_ORDER_MARK) if next_block == 0 else data
        line += data[: len(data) - len(data.lstrip(b"\r\n"))].count(b"\n")
        data = data.lstrip(b"\r\n")
        next_block += 1
    if not data:
        return _end(tx, found, now)
    first, line_break, rest = data.partition(b"\n")
    try:
        header = header_of(first)
    except BadHeader as bad:
        return _end(tx, found, now, bad.reason, bad.names)
    columns = strictjson.dumps(header.columns)
    imports.update_header(tx, found["id"], separator=header.separator, columns=columns, now=now)
    _remember(tx, found, Place(line + len(line_break), rest), next_block, {}, now)
    return True


def _remember(
    tx: Transaction, found: dict[str, Any], place: Place, next_block: int, told: dict[str, int], now: datetime
) -> None:
    uploads.delete_blocks(tx, found["id"], found["next_block"], next_block)
    state, zipcode = place.before or (None, None)
    imports.update_progress(
        tx,
        found["id"],
        **{name: told.get(name, 0) for name in ("valid", "invalid", "duplicates", "rejected")},
        now=now,
        next_block=next_block,
        line=place.line,
        rest=place.rest,
        skipping=place.skipping,
        state_before=state,
        zipcode_before=zipcode,
    )


def _end(
    tx: Transaction, found: dict[str, Any], now: datetime, reason: str | None = None, names: tuple[str, ...] = ()
) -> bool:
    """The import goes on no more; what is left of its file is cleared away by and by."""
    status = "FAILURE" if reason else "SUCCESS"
    ended = imports.update_ended(tx, found["id"], status=status, reason=reason, names=strictjson.dumps(names), now=now)
    payload = {name: ended[name] for name in _TOLD}
    if reason:
        payload |= {"reason": reason, "names": list(names)}
    name = "OrdersImportFailed" if reason else "OrdersImported"
    outbox.add(tx, outbox.service_event("orders", name, payload, now=now, request_id=found["request_id"]))
    return False


_TOLD = ("task_id", "batch_no", "file_name", "dry_run", "total", "valid", "invalid", "duplicates", "rejected")


def _place_of(found: dict[str, Any]) -> Place:
    place = Place(found["line"], bytes(found["rest"]), found["skipping"])
    if found["state_before"] is None:
        return place
    return replace(place, before=(bytes(found["state_before"]), bytes(found["zipcode_before"])))
