"""Connecting to Postgres: each host is tried in turn, and a frozen host times out."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from chassis import db
from chassis.errors import Unavailable
from quintet_testing.postgres import TemporaryPostgres

pytestmark = pytest.mark.fault

PREAMBLES = {
    "threads": "enable_gevent = lambda: None",
    "greenlets": """
from gevent import monkey; monkey.patch_all()
from chassis.db.connection import enable_gevent
""",
}
# Three seconds for each of at most two hosts, plus a margin for a busy machine. Without timeouts, one host took 31 s.
TIMEOUT_SECONDS = 25
PROGRAM = """
import socket, sys, time
from chassis import db
from chassis.errors import Unavailable
enable_gevent()
def connect(dsn):
    connection = db.connect(dsn, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT inet_server_port(), inet_server_addr()::text")
        return cursor.fetchone()
"""
Run = Callable[..., None]


@pytest.fixture(params=PREAMBLES)
def run(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs code in a process with the server model of the parameter."""

    def run_code(code: str, *arguments: str) -> None:
        source = PREAMBLES[request.param] + PROGRAM + code
        subprocess.run([sys.executable, "-c", source, *arguments], check=True, timeout=TIMEOUT_SECONDS)

    return run_code


@contextlib.contextmanager
def silent_listener(backlog: int, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listen without accepting: the kernel completes the connections, as for a process that was stopped."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(backlog)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Listen with a full queue: the kernel drops all attempts to connect."""
    with silent_listener(0) as port, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@contextlib.contextmanager
def frozen_server(server: TemporaryPostgres) -> Iterator[int]:
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield port_of(server.url)
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.fixture(params=["frozen server", "silent listener", "black hole"])
def unresponsive_port(request: pytest.FixtureRequest, restartable_postgres: TemporaryPostgres) -> Iterator[int]:
    kinds = {
        "frozen server": lambda: frozen_server(restartable_postgres),
        "silent listener": lambda: silent_listener(50),
    }
    with kinds.get(request.param, black_hole)() as port:
        yield port


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def test_unresponsive_host_is_skipped(run: Run, unresponsive_port: int, postgres_url: str) -> None:
    healthy = port_of(postgres_url)
    run(
        "assert connect(sys.argv[1])[0] == int(sys.argv[2])",
        f"postgresql://admin@127.0.0.1:{unresponsive_port},127.0.0.1:{healthy}/postgres",
        str(healthy),
    )


def test_single_unresponsive_host_is_unavailable_after_timeout(run: Run, unresponsive_port: int) -> None:
    run(
        """
try:
    connect(sys.argv[1])
except Unavailable:
    sys.exit(0)
raise AssertionError("an unresponsive host accepted a connection")
""",
        f"host=127.0.0.1 port={unresponsive_port} user=admin dbname=postgres",
    )


def test_every_address_of_a_host_name_is_tried(run: Run, postgres_url: str) -> None:
    healthy = port_of(postgres_url)
    with silent_listener(50, "127.0.0.2", healthy):
        run(
            """
resolve = socket.getaddrinfo
def two_addresses(host, port, *args, **kwargs):
    hosts = ["127.0.0.2", "127.0.0.1"] if host == "servers.test" else [host]
    return [address for host in hosts for address in resolve(host, port, *args, **kwargs)]
socket.getaddrinfo = two_addresses
assert connect(sys.argv[1])[1].startswith("127.0.0.1")
""",
            f"postgresql://admin@nowhere.invalid:1,servers.test:{healthy}/postgres",
        )


def test_target_session_attributes_select_the_host(
    run: Run, restartable_postgres: TemporaryPostgres, postgres_url: str
) -> None:
    read_only, writable = port_of(restartable_postgres.url), port_of(postgres_url)
    connection = db.connect(restartable_postgres.url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on")
    connection.close()
    writer = db.connect(postgres_url, name="tests", autocommit=True)
    with writer.cursor() as cursor:
        cursor.execute("CREATE ROLE reader LOGIN")
    dsn = f"postgresql://reader@127.0.0.1:{read_only},127.0.0.1:{writable}/postgres?target_session_attrs="
    try:
        for attributes, port in (("read-write", writable), ("read-only", read_only), ("prefer-standby", read_only)):
            run("assert connect(sys.argv[1])[0] == int(sys.argv[2])", dsn + attributes, str(port))
    finally:
        with writer.cursor() as cursor:
            cursor.execute("DROP ROLE reader")
        writer.close()
        server = db.connect(restartable_postgres.url, name="tests", autocommit=True)
        server.cursor().execute("DROP ROLE reader")
        server.close()


def test_other_greenlets_run_while_one_connects(unresponsive_port: int) -> None:
    program = """
import gevent
def tick():
    global ticks
    while True:
        gevent.sleep(0.01)
        ticks += 1
ticks = 0
ticking = gevent.spawn(tick)
try:
    connect(sys.argv[1])
except Unavailable:
    assert ticks > 5, ticks
else:
    raise AssertionError("an unresponsive host accepted a connection")
"""
    dsn = f"postgresql://admin@127.0.0.1:{unresponsive_port}/postgres"
    source = PREAMBLES["greenlets"] + PROGRAM + program
    subprocess.run([sys.executable, "-c", source, dsn], check=True, timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize("ports", ["1,2,3", "1,2,x"])
def test_mismatched_list_of_ports_is_unavailable(ports: str) -> None:
    with pytest.raises(Unavailable):
        db.connect(f"host=127.0.0.1,127.0.0.1 port={ports} dbname=postgres", name="tests")


def test_cause_names_every_host_without_the_password() -> None:
    with pytest.raises(Unavailable) as caught:
        db.connect("postgresql://u:topsecret@127.0.0.1:1,127.0.0.2:1/x", name="tests")
    cause = str(caught.value.__cause__)
    assert "127.0.0.1" in cause and "127.0.0.2" in cause and "topsecret" not in cause
