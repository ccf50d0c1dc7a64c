"""The verification of invariants: continuously and in full runs by the worker, and the report of a request."""

from collections.abc import Mapping
from typing import Any

from chassis import strictjson
from chassis.db.invariants import Cursor, Invariant, Step, Stepwise
from chassis.db.transaction import Row, Transaction

Invariants = Mapping[str, Invariant | Stepwise]

# Both take a fraction of a second.
_ITEMS_PER_STEP = 50_000
_ITEMS_PER_REQUEST = 20_000
_CONTINUOUS, _FULL = "continuous", "full"
_IN_PROGRESS = "('PENDING', 'PROGRESS')"


def advance(tx: Transaction, invariants: Invariants) -> bool:
    """Verify the next items of one invariant; return False if none is due.

    Only one transaction at a time may call this. If the process dies, the next call continues where the last committed
    one ended. While a full run is in progress, the continuous verification waits.
    """
    run = tx.find(f"SELECT status, started_at FROM invariant_runs WHERE status IN {_IN_PROGRESS}")
    if run is None:
        return _advance_continuous(tx, invariants)
    if run["status"] == "PENDING":
        _begin_full(tx)
    elif not _advance_full(tx, invariants):
        _finish_full(tx, invariants)
    return True


def _advance_continuous(tx: Transaction, invariants: Invariants) -> bool:
    marks = _marks(tx, _CONTINUOUS)
    for name, invariant in invariants.items():
        if isinstance(invariant, Stepwise):
            row = marks.get(name)
            if row is None or not row["is_done"] or row["age_seconds"] >= invariant.pause_seconds:
                _verify_step(tx, _CONTINUOUS, name, invariant, row)
                return True
    return False


def _advance_full(tx: Transaction, invariants: Invariants) -> bool:
    marks = _marks(tx, _FULL)
    for name, invariant in invariants.items():
        row = marks.get(name)
        if row is None or not row["is_done"]:
            _verify_step(tx, _FULL, name, invariant, row)
            return True
    return False


def _verify_step(tx: Transaction, run: str, name: str, invariant: Invariant | Stepwise, row: Row | None) -> None:
    if isinstance(invariant, Stepwise):
        step = invariant.step(tx, Cursor(run, name, row and row["mark"]), _ITEMS_PER_STEP)
    else:
        step = Step(invariant(tx), None, is_done=True)
    tx.run(
        _UPSERT_MARK,
        run=run,
        name=name,
        mark=None if step.mark is None else strictjson.dumps(step.mark),
        is_done=step.is_done,
        violation=step.violation,
    )
    if step.ranges:
        units, marks = zip(*step.ranges, strict=True)
        tx.run(_UPSERT_RANGES, run=run, name=name, units=list(units), marks=list(marks))


_UPSERT_MARK = """
    INSERT INTO invariant_marks AS existing (run, name, mark, is_done, violation, broken_at, completed_at)
    VALUES (%(run)s, %(name)s, %(mark)s, %(is_done)s, %(violation)s,
            CASE WHEN %(violation)s IS NOT NULL THEN now() END, CASE WHEN %(is_done)s THEN now() END)
    ON CONFLICT ON CONSTRAINT invariant_marks_pkey DO UPDATE
    SET mark = excluded.mark, is_done = excluded.is_done, verified_at = now(),
        violation = coalesce(existing.violation, excluded.violation),
        broken_at = coalesce(existing.broken_at, excluded.broken_at),
        completed_at = coalesce(excluded.completed_at, existing.completed_at)
"""
_UPSERT_RANGES = """
    INSERT INTO invariant_ranges (run, name, unit, verified)
    SELECT %(run)s, %(name)s, unit, verified FROM unnest(%(units)s::bigint[], %(marks)s::bigint[]) AS r (unit, verified)
    ON CONFLICT ON CONSTRAINT invariant_ranges_pkey DO UPDATE SET verified = excluded.verified
"""


def request_full(tx: Transaction) -> None:
    """Request a full run, which recomputes every invariant from the first item; join one that is in progress."""
    tx.run(
        f"""
        INSERT INTO invariant_runs AS existing (status) VALUES ('PENDING')
        ON CONFLICT ON CONSTRAINT invariant_runs_pkey DO UPDATE
        SET status = 'PENDING', started_at = NULL, finished_at = NULL WHERE existing.status NOT IN {_IN_PROGRESS}
        """
    )


def _begin_full(tx: Transaction) -> None:
    tx.run("DELETE FROM invariant_marks WHERE run = 'full'")
    tx.run("DELETE FROM invariant_ranges WHERE run = 'full'")
    tx.run("UPDATE invariant_runs SET status = 'PROGRESS', started_at = now()")


def _finish_full(tx: Transaction, invariants: Invariants) -> None:
    """End the run. Its result replaces each violation that was detected before it began."""
    tx.run(
        """
        INSERT INTO invariant_marks AS existing (run, name, violation, broken_at)
        SELECT 'continuous', name, violation, broken_at FROM invariant_marks
        WHERE run = 'full' AND name = ANY (%(names)s)
        ON CONFLICT ON CONSTRAINT invariant_marks_pkey DO UPDATE
        SET violation = excluded.violation, broken_at = excluded.broken_at
        WHERE existing.violation IS NULL OR existing.broken_at < (SELECT started_at FROM invariant_runs)
        """,
        names=[name for name, invariant in invariants.items() if isinstance(invariant, Stepwise)],
    )
    tx.run(
        """
        UPDATE invariant_runs SET finished_at = now(), status = CASE
            WHEN EXISTS (SELECT FROM invariant_marks WHERE run = 'full' AND violation IS NOT NULL) THEN 'FAILURE'
            ELSE 'SUCCESS' END
        """
    )


def report(tx: Transaction, invariants: Invariants) -> dict[str, Any]:
    """Return the status of each invariant, and that of the last full run.

    Stepwise invariants are verified from their mark on, up to a limit; `detail` tells what is beyond it.
    """
    tx.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    marks = _marks(tx, _CONTINUOUS)
    checks = [_check(tx, name, invariant, marks.get(name)) for name, invariant in invariants.items()]
    status = "BROKEN" if any(check["status"] == "BROKEN" for check in checks) else "OK"
    return {"status": status, "checks": checks, "full": _full_report(tx, invariants)}


def _check(tx: Transaction, name: str, invariant: Invariant | Stepwise, row: Row | None) -> dict[str, str]:
    if not isinstance(invariant, Stepwise):
        return _check_report(name, invariant(tx))
    stored = row or {"violation": None, "mark": None, "completed_at": None}
    step = invariant.step(tx, Cursor(_CONTINUOUS, name, stored["mark"]), _ITEMS_PER_REQUEST)
    if (violation := stored["violation"] or step.violation) or (step.is_done and stored["mark"] is None):
        return _check_report(name, violation)
    if step.remaining is not None:
        return _check_report(name, None, f"{step.remaining} items are still to be verified")
    completed_at = stored["completed_at"]
    detail = f"all rows were verified at {completed_at}" if completed_at else "some rows have not been verified yet"
    return _check_report(name, None, detail)


def _full_report(tx: Transaction, invariants: Invariants) -> dict[str, Any] | None:
    run = tx.find(f"SELECT status, {_time('started_at')}, {_time('finished_at')} FROM invariant_runs")
    if run is None:
        return None
    marks = {} if run["status"] == "PENDING" else _marks(tx, _FULL)
    return {**run, "checks": [_full_check(name, marks.get(name)) for name in invariants]}


def _full_check(name: str, row: Row | None) -> dict[str, str]:
    if row and row["violation"]:
        return _check_report(name, row["violation"])
    return {**_check_report(name, None), "status": "OK" if row and row["is_done"] else "PENDING"}


def _check_report(name: str, violation: str | None, detail: str = "") -> dict[str, str]:
    return {"name": name, "status": "BROKEN" if violation else "OK", "detail": violation or detail}


def _marks(tx: Transaction, run: str) -> dict[str, Row]:
    rows = tx.all(
        f"""
        SELECT name, mark, is_done, violation, {_time("completed_at")},
               extract(epoch FROM now() - verified_at)::float8 AS age_seconds
        FROM invariant_marks WHERE run = %(run)s
        """,
        run=run,
    )
    return {row.pop("name"): row for row in rows}


def _time(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS {column}"""
