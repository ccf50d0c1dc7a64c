"""Restarts of Postgres, under the load of sixteen threads and while connections are idle."""

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

pytestmark = pytest.mark.fault

THREADS, POOL = 16, 8


class Load:
    """Threads that run transactions continuously, and the outcomes since the last reset."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop_event = threading.Event()
        self.outcomes: Counter[str] = Counter()
        # By thread.
        self.successes: Counter[int] = Counter()
        self.threads = [threading.Thread(target=self._work) for _ in range(THREADS)]

    def _work(self) -> None:
        while not self._stop_event.is_set():
            try:
                with self._database.transaction() as tx:
                    tx.value("SELECT 1")
                self.outcomes["ok"] += 1
                self.successes[threading.get_ident()] += 1
            except Unavailable:
                self.outcomes["unavailable"] += 1
                self._stop_event.wait(0.01)
            except Exception as error:
                self.outcomes[repr(error)] += 1

    def reset(self) -> Counter[str]:
        """Return the outcomes since the last reset."""
        outcomes, self.outcomes, self.successes = self.outcomes, Counter(), Counter()
        return outcomes

    def has_each_thread_recovered(self) -> bool:
        """Return whether each thread has succeeded repeatedly since the last reset."""
        successes = self.successes.copy()
        return len(successes) == THREADS and min(successes.values()) >= 20

    def stop(self) -> None:
        self._stop_event.set()
        for thread in self.threads:
            thread.join(60)


@contextmanager
def open_database(url: str, name: str) -> Iterator[Database]:
    database = Database(url, name=name, size=POOL, wait_seconds=30)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    with open_database(url, "load") as database:
        load = Load(database)
        for thread in load.threads:
            thread.start()
        try:
            yield load
        finally:
            load.stop()


class ForgetfulProxy(socketserver.ThreadingTCPServer):
    """A proxy to the Postgres at `url` that can silently forget a connection; it resets it when data arrives."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._postgres = urlsplit(url)
        self.url = self._postgres._replace(netloc=f"admin@127.0.0.1:{self.server_address[1]}").geturl()
        self.remembered: list[socket.socket] = []
        threading.Thread(target=self.serve_forever).start()

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        super().__exit__(*error)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with socket.create_connection((self._postgres.hostname, self._postgres.port)) as upstream:
            self.remembered.append(request)
            targets = {request: upstream, upstream: request}
            with selectors.DefaultSelector() as selector:
                for end in targets:
                    selector.register(end, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        if request not in self.remembered:
                            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                        targets[key.fileobj].sendall(data)  # type: ignore[index]

    def shutdown_request(self, request: Any) -> None:
        # Without the shutdown, which would close the connection in an orderly way before the reset.
        self.close_request(request)


def kill(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGKILL)


def shut_down_immediately(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGQUIT)


def shut_down_fast(server: TemporaryPostgres) -> None:
    server.stop(signal.SIGINT)


@pytest.mark.parametrize("stop", [kill, shut_down_immediately])
def test_restart_causes_errors_only_while_it_lasts(
    stop: Callable[[TemporaryPostgres], None],
    restartable_postgres: TemporaryPostgres,
    eventually: Callable[..., Any],
) -> None:
    with under_load(restartable_postgres.url) as load:
        eventually(lambda: load.outcomes["ok"] > 100)
        stop(restartable_postgres)
        eventually(lambda: load.outcomes["unavailable"] > 10)
        restartable_postgres.start()
        # Then the connections that the crash broke have been detected and discarded.
        recovering = load.reset()
        eventually(load.has_each_thread_recovered)
        load.reset()
        eventually(lambda: load.outcomes["ok"] > 1000)
        assert set(load.reset()) == {"ok"}, recovering


def test_terminated_backends_cause_at_most_one_error_per_connection(
    restartable_postgres: TemporaryPostgres, eventually: Callable[..., Any]
) -> None:
    with under_load(restartable_postgres.url) as load:
        for _ in range(5):
            eventually(lambda: load.outcomes["ok"] > 300)
            load.reset()
            admin = connect(restartable_postgres.url, name="admin", autocommit=True)
            with admin.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'load'"
                )
            admin.close()
            eventually(lambda: load.outcomes["ok"] > 300)
            outcomes = load.reset()
            # On a busy machine, a connection of the previous round may report its error only now.
            assert outcomes["unavailable"] <= 2 * POOL
            assert set(outcomes) <= {"ok", "unavailable"}


@pytest.mark.parametrize("stop", [kill, shut_down_immediately, shut_down_fast])
def test_idle_connections_cause_no_error_after_a_restart(
    stop: Callable[[TemporaryPostgres], None], restartable_postgres: TemporaryPostgres
) -> None:
    with open_database(restartable_postgres.url, "idle") as database:
        before = two_backend_pids(database)
        stop(restartable_postgres)
        restartable_postgres.start()
        assert before.isdisjoint(two_backend_pids(database))


def test_idle_connection_that_a_proxy_forgot_causes_no_error(restartable_postgres: TemporaryPostgres) -> None:
    with ForgetfulProxy(restartable_postgres.url) as proxy, open_database(proxy.url, "idle") as database:
        before = two_backend_pids(database)
        assert two_backend_pids(database) == before
        proxy.remembered.clear()
        # Long enough that the connection is pinged before it is used again.
        time.sleep(transaction._PING_AFTER_IDLE_SECONDS)
        assert before.isdisjoint(two_backend_pids(database))


def two_backend_pids(database: Database) -> set[int]:
    with database.transaction() as first, database.transaction() as second:
        return {tx.value("SELECT pg_backend_pid()") for tx in (first, second)}
