"""Postgres goes away and comes back: under sixteen threads, and while connections are idle."""

import selectors
import signal
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from chassis.db import Database, connect, transaction
from chassis.errors import Unavailable
from quintet_testing.postgres import TemporaryPostgres

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
def a_database(url: str, name: str) -> Iterator[Database]:
    database = Database(url, name=name, size=POOL, wait_seconds=5)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    with a_database(url, "load") as database:
        load = Load(database)
        for thread in load.threads:
            thread.start()
        try:
            yield load
        finally:
            load.end()


class ForgetfulWay(socketserver.ThreadingTCPServer):
    """To the Postgres at `url`. It may forget its connections in silence; what is sent then is answered by a reset."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._postgres = urlsplit(url)
        self.url = self._postgres._replace(netloc=f"admin@127.0.0.1:{self.server_address[1]}").geturl()
        self.known: list[socket.socket] = []
        threading.Thread(target=self.serve_forever).start()

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        super().__exit__(*error)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with socket.create_connection((self._postgres.hostname, self._postgres.port)) as other:
            self.known.append(request)
            ways = {request: other, other: request}
            with selectors.DefaultSelector() as selector:
                for end in ways:
                    selector.register(end, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        if request not in self.known:
                            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                        ways[key.fileobj].sendall(data)  # type: ignore[index]

    def shutdown_request(self, request: Any) -> None:
        # Without the goodbye of a shutdown, which a reset has not.
        self.close_request(request)


def kill(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGKILL)


def restart_immediately(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGQUIT)


def restart_fast(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGINT)


@pytest.mark.parametrize("go_away", [kill, restart_immediately])
def test_a_restart_costs_errors_while_it_lasts_and_none_after(
    go_away: Callable[[TemporaryPostgres], None],
    mortal_postgres: TemporaryPostgres,
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
    mortal_postgres: TemporaryPostgres, eventually: Callable[..., Any]
) -> None:
    with under_load(mortal_postgres.url) as load:
        for _ in range(5):
            eventually(lambda: load._counter["ok"] > 300)
            load.since_last_look()
            admin = connect(mortal_postgres.url, name="admin", autocommit=True)
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


@pytest.mark.parametrize("go_away", [kill, restart_immediately, restart_fast])
def test_idle_connections_cost_nothing_after_a_restart(
    go_away: Callable[[TemporaryPostgres], None], mortal_postgres: TemporaryPostgres
) -> None:
    with a_database(mortal_postgres.url, "idle") as database:
        before = two_backends(database)
        go_away(mortal_postgres)
        mortal_postgres.start()
        assert before.isdisjoint(two_backends(database))


def test_a_connection_that_the_way_forgot_while_it_was_idle_costs_nothing(mortal_postgres: TemporaryPostgres) -> None:
    with ForgetfulWay(mortal_postgres.url) as way, a_database(way.url, "idle") as database:
        before = two_backends(database)
        assert two_backends(database) == before
        way.known.clear()
        # Long enough that it is asked before it is used again.
        time.sleep(transaction._PING_AFTER_IDLE_SECONDS)
        assert before.isdisjoint(two_backends(database))


def two_backends(database: Database) -> set[int]:
    with database.transaction() as one, database.transaction() as other:
        return {tx.value("SELECT pg_backend_pid()") for tx in (one, other)}
