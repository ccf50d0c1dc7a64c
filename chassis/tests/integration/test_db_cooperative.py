"""Under gevent: greenlets wait for Postgres side by side, and a frozen one holds nobody for ever."""

import subprocess
import sys

from chassis.runtime.config import ServiceSettings
from quintet_testing.postgres import TemporaryPostgres

BEGIN = """
from gevent import monkey; monkey.patch_all()
import gevent, os, signal, sys, time
from chassis.db import connection
from chassis import db
from chassis.errors import Unavailable
connection.enable_gevent()
url = sys.argv[1]
database = db.Database(url, name="greenlets", size=4, wait_seconds=5)
def ask(sql="SELECT pg_sleep(1)"):
    with database.transaction() as tx:
        return tx.value(sql)
"""


def run(program: str, url: str) -> None:
    subprocess.run([sys.executable, "-c", BEGIN + program, url], check=True, timeout=60)


def test_two_greenlets_wait_at_the_same_time(settings: ServiceSettings) -> None:
    run(
        """
began = time.monotonic()
gevent.joinall([gevent.spawn(ask) for _ in range(4)], raise_error=True)
assert time.monotonic() - began < 3, time.monotonic() - began
""",
        settings.database_url,
    )


def test_a_killed_greenlet_leaves_no_broken_connection_behind(settings: ServiceSettings) -> None:
    run(
        """
for _ in range(6):
    job = gevent.spawn(ask)
    gevent.sleep(0.05)
    job.kill()
jobs = [gevent.spawn(ask, "SELECT 1") for _ in range(20)]
gevent.joinall(jobs, raise_error=True)
assert [job.value for job in jobs] == [1] * 20
""",
        settings.database_url,
    )


def test_errors_of_postgres_become_problems(mortal_postgres: TemporaryPostgres) -> None:
    """A restart, a statement that takes too long, an ended backend: in this mode psycopg2 says them otherwise."""
    run(
        f"""
admin = db.connect(url, name="admin", autocommit=True)
def outcome(sql):
    try:
        return ask(sql)
    except Unavailable as problem:
        return problem.detail
assert "too long" in outcome("SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(3)")
for _ in range(5):
    jobs = [gevent.spawn(outcome, "SELECT pg_sleep(3)") for _ in range(4)]
    gevent.sleep(0.1)
    admin.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'greenlets'")
    gevent.joinall(jobs, raise_error=True)
    assert set(job.value for job in jobs) == {{"the database is unreachable"}}
    assert outcome("SELECT 1") == 1
jobs = [gevent.spawn(outcome, "SELECT pg_sleep(3)") for _ in range(4)]
gevent.sleep(0.1)
os.kill({mortal_postgres.process.pid}, signal.SIGQUIT)
gevent.joinall(jobs, raise_error=True)
assert set(job.value for job in jobs) == {{"the database is unreachable"}}
assert outcome("SELECT 1") == "Postgres is unreachable"
""",
        mortal_postgres.url,
    )
    mortal_postgres.process.wait(30)
    mortal_postgres.start()


def test_a_frozen_backend_holds_nobody_for_ever(settings: ServiceSettings) -> None:
    run(
        """
connection._ANSWER_SECONDS = 1
pid = ask("SELECT pg_backend_pid()")
os.kill(pid, signal.SIGSTOP)
began = time.monotonic()
try:
    ask("SELECT 1")
except Unavailable:
    assert 0.9 < time.monotonic() - began < 10
else:
    raise AssertionError("a frozen backend answered")
assert ask("SELECT 1") == 1
os.kill(pid, signal.SIGCONT)
""",
        settings.database_url,
    )
