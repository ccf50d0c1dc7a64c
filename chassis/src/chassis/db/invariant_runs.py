"""The verification of invariants: continuously and in full runs by the worker, and for the report of a request."""

from collections.abc import Mapping
from typing import Any

from chassis import strictjson
from chassis.db.invariants import Invariant, Stepwise
from chassis.db.transaction import Row, Transaction

Invariants = Mapping[str, Invariant | Stepwise]

# Both take a fraction of a second.
_ITEMS_PER_STEP = 50_000
_ITEMS_PER_REQUEST = 10_000
# The worker waits this many times as long as it needed for all items, so that it is busy at most a tenth of the time.
_PAUSE_FACTOR = 10
_NO_MARK: Row = {"mark": None, "is_done": False, "violation": None, "completed_at": None}


def request_full(tx: Transaction) -> None:
    """Request a full run, which recomputes every invariant from the first item; join one that is in progress."""
    tx.run(
        """
        INSERT INTO invariant_runs AS existing DEFAULT VALUES ON CONFLICT ON CONSTRAINT invariant_runs_pkey DO UPDATE
        SET status = 'PENDING', started_at = NULL, finished_at = NULL, checks = DEFAULT
        WHERE existing.status IN ('SUCCESS', 'FAILURE')
        """
    )


def advance(tx: Transaction, invariants: Invariants) -> bool:
    """Verify the next items of one invariant; return False if none is due.

    Only one transaction at a time may call this. If the process dies, the next call continues where the last committed
    one ended. A full run resets all marks, and ends when each invariant was completed once.
    """
    status = tx.value("SELECT status FROM invariant_runs")
    if status == "PENDING":
        tx.run("UPDATE invariant_marks SET mark = NULL, is_done = false, began_at = now(), completed_at = NULL")
        tx.run("DELETE FROM invariant_ranges")
        tx.run("UPDATE invariant_runs SET status = 'PROGRESS', started_at = now()")
        return True
    marks = _marks(tx)
    for name, invariant in invariants.items():
        mark = marks.get(name, _NO_MARK)
        if isinstance(invariant, Stepwise) and _is_due(invariant, mark):
            _verify_step(tx, name, invariant, mark["mark"])
            return True
    if status == "PROGRESS":
        _finish_full(tx, invariants)
    return False


def _is_due(invariant: Stepwise, mark: Row) -> bool:
    if not mark["is_done"]:
        return True
    return bool(mark["age_seconds"] >= max(invariant.pause_seconds, _PAUSE_FACTOR * mark["needed_seconds"]))


def _verify_step(tx: Transaction, name: str, invariant: Stepwise, mark: Any) -> None:
    step = invariant.step(tx, mark, _ITEMS_PER_STEP)
    tx.run(
        """
        INSERT INTO invariant_marks AS existing (name, mark, is_done, violation, broken_at, completed_at)
        VALUES (%(name)s, %(mark)s, %(is_done)s, %(violation)s,
                CASE WHEN %(violation)s IS NOT NULL THEN now() END, CASE WHEN %(is_done)s THEN now() END)
        ON CONFLICT ON CONSTRAINT invariant_marks_pkey DO UPDATE
        SET mark = excluded.mark, is_done = excluded.is_done, verified_at = now(),
            began_at = CASE WHEN existing.is_done THEN now() ELSE existing.began_at END,
            violation = coalesce(excluded.violation, existing.violation),
            broken_at = coalesce(excluded.broken_at, existing.broken_at),
            completed_at = coalesce(excluded.completed_at, existing.completed_at)
        """,
        name=name,
        mark=None if step.mark is None else strictjson.dumps(step.mark),
        is_done=step.is_done,
        violation=step.violation,
    )
    step.save(tx)


def _finish_full(tx: Transaction, invariants: Invariants) -> None:
    tx.run(
        """
        UPDATE invariant_marks SET violation = NULL, broken_at = NULL
        WHERE broken_at < (SELECT started_at FROM invariant_runs)
        """
    )
    marks = _marks(tx)
    checks = [
        _check_report(name, marks[name]["violation"] if isinstance(invariant, Stepwise) else invariant(tx))
        for name, invariant in invariants.items()
    ]
    tx.run(
        "UPDATE invariant_runs SET status = %(status)s, finished_at = now(), checks = %(checks)s",
        status="FAILURE" if _is_broken(checks) else "SUCCESS",
        checks=strictjson.dumps(checks),
    )


def report(tx: Transaction, invariants: Invariants) -> dict[str, Any]:
    """Return the status of each invariant, and the last full run.

    The first items of each stepwise invariant, or those not verified yet, are verified up to a limit; `detail` tells
    what is beyond it.
    """
    tx.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    marks = _marks(tx)
    checks = [_check(tx, name, invariant, marks.get(name, _NO_MARK)) for name, invariant in invariants.items()]
    full = tx.find(f"SELECT status, {_time('started_at')}, {_time('finished_at')}, checks FROM invariant_runs")
    return {"status": "BROKEN" if _is_broken(checks) else "OK", "checks": checks, "full": full}


def _check(tx: Transaction, name: str, invariant: Invariant | Stepwise, mark: Row) -> dict[str, str]:
    if not isinstance(invariant, Stepwise):
        return _check_report(name, invariant(tx))
    step = invariant.step(tx, None, _ITEMS_PER_REQUEST)
    detail = ""
    if step.remaining:
        detail = f"{step.remaining} items are still to be verified"
    elif not step.is_done:
        completed_at = mark["completed_at"]
        detail = f"all rows were verified at {completed_at}" if completed_at else "some rows have not been verified yet"
    return _check_report(name, mark["violation"] or step.violation, detail)


def _check_report(name: str, violation: str | None, detail: str = "") -> dict[str, str]:
    return {"name": name, "status": "BROKEN" if violation else "OK", "detail": violation or detail}


def _is_broken(checks: list[dict[str, str]]) -> bool:
    return any(check["status"] == "BROKEN" for check in checks)


def _marks(tx: Transaction) -> dict[str, Row]:
    rows = tx.all(
        f"""
        SELECT name, mark, is_done, violation, {_time("completed_at")},
               extract(epoch FROM now() - verified_at)::float8 AS age_seconds,
               extract(epoch FROM completed_at - began_at)::float8 AS needed_seconds
        FROM invariant_marks
        """
    )
    return {row["name"]: row for row in rows}


def _time(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS {column}"""
