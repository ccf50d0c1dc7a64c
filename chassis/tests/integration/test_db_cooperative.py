"""Under gevent, greenlets wait for Postgres concurrently, and a frozen backend blocks none of them indefinitely."""

import subprocess
import sys

import pytest

from chassis.runtime.config import ServiceSettings
from quintet_testing.postgres import TemporaryPostgres

PREAMBLE = """
from gevent import monkey; monkey.patch_all()
import gevent, os, signal, sys, time
from chassis.db import connection
from chassis import db
from chassis.errors import Unavailable
connection.enable_gevent()
url = sys.argv[1]
database = db.Database(url, name="greenlets", size=4, wait_seconds=5)
admin = db.connect(url, name="admin", autocommit=True)
def query(sql="SELECT pg_sleep(1)"):
    with database.transaction() as tx:
        return tx.value(sql)
def wait_until_active(count):
    cursor = admin.cursor()
    while True:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'greenlets' AND state = 'active'")
        if cursor.fetchone() == (count,):
            return
        gevent.sleep(0.01)
"""


def run(program: str, url: str) -> None:
    subprocess.run([sys.executable, "-c", PREAMBLE + program, url], check=True, timeout=60)


def test_greenlets_wait_concurrently(settings: ServiceSettings) -> None:
    run(
        """
admin.cursor().execute("SELECT pg_advisory_lock(1)")
jobs = [gevent.spawn(query, "SELECT pg_advisory_xact_lock_shared(1)") for _ in range(4)]
wait_until_active(4)
admin.cursor().execute("SELECT pg_advisory_unlock(1)")
gevent.joinall(jobs, raise_error=True)
""",
        settings.database_url,
    )


def test_killed_greenlets_leave_no_broken_connection(settings: ServiceSettings) -> None:
    run(
        """
for _ in range(6):
    job = gevent.spawn(query)
    gevent.sleep(0.05)
    job.kill()
jobs = [gevent.spawn(query, "SELECT 1") for _ in range(20)]
gevent.joinall(jobs, raise_error=True)
assert [job.value for job in jobs] == [1] * 20
""",
        settings.database_url,
    )


@pytest.mark.fault
def test_errors_of_postgres_become_unavailable(restartable_postgres: TemporaryPostgres) -> None:
    """Test a restart, a slow statement and a terminated backend: under gevent psycopg2 raises other errors for them."""
    run(
        f"""
def outcome(sql):
    try:
        return query(sql)
    except Unavailable as problem:
        return problem.detail
assert "timed out" in outcome("SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(3)")
for _ in range(5):
    jobs = [gevent.spawn(outcome, "SELECT pg_sleep(60)") for _ in range(4)]
    wait_until_active(4)
    admin.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'greenlets'")
    gevent.joinall(jobs, raise_error=True)
    assert set(job.value for job in jobs) == {{"the database is unreachable"}}
    assert outcome("SELECT 1") == 1
jobs = [gevent.spawn(outcome, "SELECT pg_sleep(60)") for _ in range(4)]
wait_until_active(4)
os.kill({restartable_postgres.process.pid}, signal.SIGQUIT)
gevent.joinall(jobs, raise_error=True)
assert set(job.value for job in jobs) == {{"the database is unreachable"}}
assert outcome("SELECT 1") == "Postgres is unreachable"
""",
        restartable_postgres.url,
    )
    restartable_postgres.process.wait(30)
    restartable_postgres.start()


def test_frozen_backend_times_out(settings: ServiceSettings) -> None:
    run(
        """
connection._RESPONSE_SECONDS = 1
pid = query("SELECT pg_backend_pid()")
os.kill(pid, signal.SIGSTOP)
started_at = time.monotonic()
try:
    query("SELECT 1")
except Unavailable:
    assert time.monotonic() - started_at > 0.9
else:
    raise AssertionError("a frozen backend responded")
assert query("SELECT 1") == 1
os.kill(pid, signal.SIGCONT)
""",
        settings.database_url,
    )


@pytest.mark.fault
def test_frozen_server_is_unavailable_within_seconds_and_recovers(restartable_postgres: TemporaryPostgres) -> None:
    """Test a statement in progress, an idle connection and a new one, on each transport."""
    for url in (restartable_postgres.url, restartable_postgres.socket_url):
        run(
            f"""
import psutil
server = psutil.Process({restartable_postgres.process.pid})
def outcome(sql):
    try:
        return query(sql)
    except Unavailable as problem:
        return problem.detail
assert query("SELECT 1") == 1
running = [gevent.spawn(outcome, "SELECT pg_sleep(60)") for _ in range(2)]
wait_until_active(2)
frozen = [server, *server.children()]
try:
    for process in frozen:
        process.suspend()
    started_at = time.monotonic()
    gevent.sleep(1.1)
    later = [gevent.spawn(outcome, "SELECT 1") for _ in range(3)]
    gevent.joinall([*running, *later], raise_error=True, timeout=25)
    seconds = time.monotonic() - started_at
finally:
    for process in frozen:
        process.resume()
assert {{job.value for job in [*running, *later]}} <= {{"the database is unreachable", "Postgres is unreachable"}}
assert seconds < 15, seconds
assert query("SELECT 1") == 1
""",
            url,
        )


def test_slow_statement_is_awaited_while_postgres_accepts_connections(settings: ServiceSettings) -> None:
    run(
        """
connection._PROBE_AFTER_SECONDS = 0.1
assert query("SELECT pg_sleep(1), 1") == ""
""",
        settings.database_url,
    )
