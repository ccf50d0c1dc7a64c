"""The verification of invariants: step by step, in full runs, while data change and when the worker is killed."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.db import Database, invariant_runs
from chassis.runtime.config import ServiceSettings
from chassis.web.app import App
from quintet_testing.invariants import advance_invariants, assert_invariants_hold_during, recompute_invariants
from quintet_testing.postgres import free_port

# Two steps of the worker and a rest.
MANY = 120_000
NUMBERED, SIZES = "items_are_numbered", "sizes_are_positive"


@pytest.fixture
def execute(db: Database) -> Callable[..., int]:
    def execute_statement(sql: str, **params: Any) -> int:
        with db.transaction() as tx:
            return tx.run(sql, **params)

    return execute_statement


@pytest.fixture
def add_items(execute: Any) -> Callable[[int, int], None]:
    """Return a function that gives a unit its items up to a number."""

    def add(unit: int, last: int) -> None:
        execute(
            """
            WITH previous AS (SELECT coalesce(max(last), 0) AS last FROM units WHERE id = %(unit)s), updated AS (
                INSERT INTO units (id, last) VALUES (%(unit)s, %(last)s)
                ON CONFLICT ON CONSTRAINT units_pkey DO UPDATE SET last = excluded.last
            )
            INSERT INTO items (unit, number) SELECT %(unit)s, number
            FROM previous, generate_series(previous.last + 1, %(last)s) AS number
            """,
            unit=unit,
            last=last,
        )

    return add


@pytest.fixture
def report(app: App) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the report, with the checks by name."""

    def get_report() -> dict[str, Any]:
        body = app.test_client().get("/invariants").get_json()
        return {**body, "checks": by_name(body["checks"])}

    return get_report


def by_name(checks: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["status"], check["detail"]) for check in checks}


def test_all_invariants_of_little_data_are_verified_by_the_request(app: App, execute: Any, add_items: Any) -> None:
    add_items(1, 10)
    names = ("effects_have_names", NUMBERED, SIZES)
    checks = [{"name": name, "status": "OK", "detail": ""} for name in names]
    assert app.test_client().get("/invariants").get_json() == {"status": "OK", "checks": checks, "full": None}


@pytest.mark.parametrize(
    ("sql", "name", "detail"),
    [
        ("INSERT INTO effects (name) VALUES ('nameless')", "effects_have_names", "1 effects have no name"),
        ("DELETE FROM items WHERE number = 5", NUMBERED, '{"unit":1,"after":0,"upto":10}'),
        ("UPDATE units SET last = 11", NUMBERED, '{"unit":1,"after":0,"upto":11}'),
        ("UPDATE items SET size = -1 WHERE number = 7", SIZES, '{"unit":1,"number":7}'),
    ],
)
def test_violation_is_reported_with_its_detail(
    report: Any, execute: Any, add_items: Any, sql: str, name: str, detail: str
) -> None:
    add_items(1, 10)
    execute(sql)
    assert report()["status"] == "BROKEN"
    assert {check: result for check, result in report()["checks"].items() if result[0] == "BROKEN"} == {
        name: ("BROKEN", detail)
    }


def test_worker_verifies_each_item_once_and_a_request_verifies_only_those_after(
    app: App, report: Any, execute: Any, add_items: Any
) -> None:
    add_items(1, MANY)
    add_items(2, 3)
    checks = report()["checks"]
    assert checks[NUMBERED] == ("OK", "110003 items are still to be verified")
    assert checks[SIZES] == ("OK", "some rows have not been verified yet")
    assert advance_invariants(app) == 6
    assert advance_invariants(app) == 0
    checks = report()["checks"]
    assert checks[NUMBERED] == ("OK", "")
    assert checks[SIZES][1].startswith("all rows were verified at 20")
    execute("DELETE FROM items WHERE unit = 1 AND number = 60000")
    assert report()["status"] == "OK"
    add_items(2, 10)
    execute("DELETE FROM items WHERE unit = 2 AND number = 9")
    assert report()["checks"][NUMBERED] == ("BROKEN", '{"unit":2,"after":3,"upto":10}')


def test_units_are_verified_in_pages_of_limited_size(
    app: App, report: Any, execute: Any, add_items: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_ITEMS_PER_STEP", "_ITEMS_PER_REQUEST"):
        monkeypatch.setattr(invariant_runs, name, 10)
    for unit in range(25):
        add_items(unit, 3)
    advance_invariants(app)
    assert report()["checks"][NUMBERED][1].startswith("all rows were verified at 20")
    add_items(7, 20)
    add_items(24, 4)
    execute("DELETE FROM items WHERE unit = 24 AND number = 4")
    # The request verifies the first page only.
    assert report()["checks"][NUMBERED][0] == "OK"
    execute("UPDATE invariant_marks SET verified_at = now() - interval '1 hour', began_at = completed_at")
    advance_invariants(app)
    assert report()["checks"][NUMBERED] == ("BROKEN", '{"unit":24,"after":3,"upto":4}')


def test_unit_that_lost_its_last_items_is_reported(app: App, report: Any, execute: Any, add_items: Any) -> None:
    add_items(1, 10)
    advance_invariants(app)
    execute("UPDATE units SET last = 8")
    execute("DELETE FROM items WHERE number > 8")
    assert report()["checks"][NUMBERED] == ("BROKEN", '{"unit":1,"after":10,"upto":8}')


def test_unit_without_items_is_verified_once(app: App, report: Any, execute: Any, add_items: Any) -> None:
    execute("INSERT INTO units (id, last) VALUES (1, 0)")
    # Numbers that a unit has in addition are detected, even if it should have none.
    execute("INSERT INTO items (unit, number) VALUES (1, 1)")
    assert report()["checks"][NUMBERED] == ("BROKEN", '{"unit":1,"after":0,"upto":0}')
    execute("DELETE FROM items")
    advance_invariants(app)
    execute("INSERT INTO items (unit, number) VALUES (1, 1)")
    assert report()["checks"][NUMBERED] == ("OK", "")


def test_full_run_detects_a_violation_among_verified_items_and_its_repair(
    app: App, report: Any, execute: Any, add_items: Any
) -> None:
    add_items(1, MANY)
    advance_invariants(app)
    execute("DELETE FROM items WHERE number = 60000")
    assert report()["status"] == "OK"
    full = recompute_invariants(app)
    assert (full["status"], by_name(full["checks"])) == (
        "FAILURE",
        {
            "effects_have_names": ("OK", ""),
            NUMBERED: ("BROKEN", '{"unit":1,"after":50000,"upto":100000}'),
            SIZES: ("OK", ""),
        },
    )
    assert report()["checks"][NUMBERED] == ("BROKEN", '{"unit":1,"after":50000,"upto":100000}')
    execute("INSERT INTO items (unit, number) VALUES (1, 60000)")
    assert report()["status"] == "BROKEN"
    full = recompute_invariants(app)
    assert (full["status"], {check["status"] for check in full["checks"]}) == ("SUCCESS", {"OK"})
    assert full["started_at"] <= full["finished_at"]
    assert report()["status"] == "OK"


def test_violation_detected_by_the_worker_is_reported_until_a_full_run_succeeds(
    app: App, report: Any, execute: Any, add_items: Any
) -> None:
    add_items(1, 10)
    execute("DELETE FROM items WHERE number = 5")
    advance_invariants(app)
    execute("INSERT INTO items (unit, number) VALUES (1, 5)")
    assert report()["checks"][NUMBERED][0] == "BROKEN"
    assert recompute_invariants(app)["status"] == "SUCCESS"
    assert report()["status"] == "OK"


def test_request_joins_the_full_run_in_progress(app: App, report: Any, add_items: Any) -> None:
    add_items(1, MANY)
    client = app.test_client()
    assert client.get("/invariants?full=1").get_json()["full"]["status"] == "PENDING"
    advance_invariants(app, max_steps=3)
    response = client.get("/invariants?full=1")
    full = response.get_json()["full"]
    assert (response.status_code, full["status"], full["finished_at"], full["checks"]) == (202, "PROGRESS", None, [])
    advance_invariants(app)
    assert report()["full"]["status"] == "SUCCESS"
    assert client.get("/invariants?full=1").get_json()["full"]["status"] == "PENDING"


@pytest.mark.parametrize("query", ["full=2", "full=", "ful=1", "full=1&full=1", "full=1&x=1"])
def test_invalid_query_is_rejected_and_starts_nothing(app: App, report: Any, db: Database, query: str) -> None:
    response = app.test_client().get(f"/invariants?{query}")
    assert response.status_code == 400
    assert {error["field"] for error in response.get_json()["errors"]} <= {"full", "ful", "x"}
    assert report()["full"] is None


def test_head_starts_no_full_run(app: App, report: Any, db: Database) -> None:
    assert app.test_client().head("/invariants?full=1").status_code == 200
    assert report()["full"] is None


def test_items_that_are_added_during_full_runs_are_never_reported(app: App, db: Database, add_items: Any) -> None:
    for unit in range(4):
        add_items(unit, 30_000)
    firsts = [itertools.count(30_001, 7) for _ in range(3)]

    def write(unit: int) -> None:
        first = next(firsts[unit])
        with db.transaction() as tx:
            tx.run("UPDATE units SET last = %(last)s WHERE id = %(unit)s", last=first + 6, unit=unit)
            for number in range(first, first + 7):
                tx.run("INSERT INTO items VALUES (%(unit)s, %(number)s)", unit=unit, number=number)

    assert_invariants_hold_during(app, write, writer_count=3)


@pytest.fixture
def start_worker(settings: ServiceSettings, process_environment: Any, db: Database) -> Iterator[Callable[[], Any]]:
    """Return a function that starts a worker without RabbitMQ, which its timers do not need."""
    started: list[subprocess.Popen[bytes]] = []
    environment = process_environment(settings, AMQP_URL=f"amqp://127.0.0.1:{free_port()}/%2F")

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-m", "probe_service", "worker"], env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_worker_verifies_continuously(report: Any, add_items: Any, start_worker: Any, eventually: Any) -> None:
    add_items(1, MANY)
    assert report()["checks"][NUMBERED][1]
    start_worker()
    eventually(lambda: report()["checks"][NUMBERED] == ("OK", ""))


def test_full_run_continues_where_it_was_when_its_worker_was_killed(
    app: App, report: Any, execute: Any, add_items: Any, start_worker: Any, db: Database, eventually: Any
) -> None:
    add_items(1, MANY)
    app.test_client().get("/invariants?full=1")
    # The start of the run, and the first step of the first stepwise invariant.
    advance_invariants(app, max_steps=2)
    # Only a run that began again would detect this.
    execute("DELETE FROM items WHERE number = 5")
    with db.transaction() as tx:
        tx.run("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        process = start_worker()
        eventually(lambda: tx.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert report()["full"]["status"] == "PROGRESS"
    start_worker()
    eventually(lambda: report()["full"]["status"] == "SUCCESS")
