"""Postgres goes away and comes back under sixteen threads."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chassis import db
from chassis.db import Database
from chassis.errors import Unavailable
from chassis.throwaway import ThrowawayPostgres

THREADS, POOL = 16, 8


class Load:
    """Threads that do one transaction after the other; the outcomes since the last look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ending = threading.Event()
        self._counter: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._work) for _ in range(THREADS)]

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                with self._database.transaction() as tx:
                    tx.value("SELECT 1")
                self._counter["ok"] += 1
            except Unavailable:
                self._counter["unavailable"] += 1
                self._ending.wait(0.01)
            except Exception as error:
                self._counter[repr(error)] += 1

    def since_last_look(self) -> Counter[str]:
        seen, self._counter = self._counter, Counter()
        return seen

    def end(self) -> None:
        self._ending.set()
        for thread in self.threads:
            thread.join(20)


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    database = Database(url, name="load", size=POOL, wait_seconds=5)
    load = Load(database)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        database.close()


def kill(server: ThrowawayPostgres) -> None:
    server.stop(signal.SIGKILL)


def restart_immediately(server: ThrowawayPostgres) -> None:
    server.stop(signal.SIGQUIT)


@pytest.mark.parametrize("go_away", [kill, restart_immediately])
def test_a_restart_costs_errors_while_it_lasts_and_none_after(
    go_away: Callable[[ThrowawayPostgres], None],
    mortal_postgres: ThrowawayPostgres,
    eventually: Callable[..., Any],
) -> None:
    with under_load(mortal_postgres.url) as load:
        eventually(lambda: load._counter["ok"] > 100)
        go_away(mortal_postgres)
        eventually(lambda: load._counter["unavailable"] > 10)
        mortal_postgres.start()
        # Recovered: the connections that the crash broke were met and dropped.
        ok = load.since_last_look()["ok"]
        eventually(lambda: load._counter["ok"] > 200)
        time.sleep(0.1)
        load.since_last_look()
        eventually(lambda: load._counter["ok"] > 1000)
        assert set(load.since_last_look()) == {"ok"}, ok


def test_terminating_every_backend_costs_one_failure_for_each_connection(
    mortal_postgres: ThrowawayPostgres, eventually: Callable[..., Any]
) -> None:
    with under_load(mortal_postgres.url) as load:
        for _ in range(5):
            eventually(lambda: load._counter["ok"] > 300)
            load.since_last_look()
            admin = db.connect(mortal_postgres.url, name="admin", autocommit=True)
            with admin.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'load'"
                )
            admin.close()
            eventually(lambda: load._counter["ok"] > 300)
            seen = load.since_last_look()
            # On a busy machine one of the round before may tell of it only now.
            assert seen["unavailable"] <= 2 * POOL
            assert set(seen) <= {"ok", "unavailable"}


def test_an_idle_connection_whose_backend_died_costs_nothing(
    mortal_postgres: ThrowawayPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.pool._PING_AFTER_IDLE_SECONDS", 0)
    database, other = (Database(mortal_postgres.url, name="idle", size=1, wait_seconds=5) for _ in range(2))
    with database.transaction() as tx:
        pid = tx.value("SELECT pg_backend_pid()")
    with other.transaction() as tx:
        tx.value("SELECT pg_terminate_backend(%(pid)s, 5000)", pid=pid)
    with database.transaction() as tx:
        assert tx.value("SELECT pg_backend_pid()") != pid
    database.close()
    other.close()
