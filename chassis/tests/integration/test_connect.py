"""A connection to Postgres: each host in turn, and none that is frozen holds anybody for long."""

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

BEGIN = {
    "threads": "cooperative = lambda: None",
    "greenlets": """
from gevent import monkey; monkey.patch_all()
from chassis.db.connection import enable_gevent as cooperative
""",
}
# Three seconds for each host of at most two, and what a busy machine adds; it took 31 s for one.
PATIENCE_SECONDS = 25
PROGRAM = """
import socket, sys, time
from chassis import db
from chassis.errors import Unavailable
cooperative()
def connect(dsn):
    connection = db.connect(dsn, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT inet_server_port(), inet_server_addr()::text")
        return cursor.fetchone()
"""
Run = Callable[..., None]


@pytest.fixture(params=BEGIN)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a program in a process of that server model."""

    def program(text: str, *arguments: str) -> None:
        source = BEGIN[request.param] + PROGRAM + text
        subprocess.run([sys.executable, "-c", source, *arguments], check=True, timeout=PATIENCE_SECONDS)

    return program


@contextlib.contextmanager
def silent(backlog: int, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The kernel accepts connections for it, as for a process that was stopped."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(backlog)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Its queue is full: the kernel drops what asks to connect."""
    with silent(0) as port, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@contextlib.contextmanager
def frozen(server: TemporaryPostgres) -> Iterator[int]:
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield port_of(server.url)
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.fixture(params=["frozen server", "silent listener", "black hole"])
def unanswering(request: pytest.FixtureRequest, mortal_postgres: TemporaryPostgres) -> Iterator[int]:
    kinds = {"frozen server": lambda: frozen(mortal_postgres), "silent listener": lambda: silent(50)}
    with kinds.get(request.param, black_hole)() as port:
        yield port


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def test_a_host_that_does_not_answer_is_left_for_the_next(run: Run, unanswering: int, postgres_url: str) -> None:
    healthy = port_of(postgres_url)
    run(
        "assert connect(sys.argv[1])[0] == int(sys.argv[2])",
        f"postgresql://admin@127.0.0.1:{unanswering},127.0.0.1:{healthy}/postgres",
        str(healthy),
    )


def test_a_single_host_that_does_not_answer_is_unavailable_in_time(run: Run, unanswering: int) -> None:
    run(
        """
try:
    connect(sys.argv[1])
except Unavailable:
    sys.exit(0)
raise AssertionError("nothing answers there")
""",
        f"host=127.0.0.1 port={unanswering} user=admin dbname=postgres",
    )


def test_each_address_of_a_name_is_tried(run: Run, postgres_url: str) -> None:
    healthy = port_of(postgres_url)
    with silent(50, "127.0.0.2", healthy):
        run(
            """
resolve = socket.getaddrinfo
def two_addresses(host, port, *args, **kwargs):
    hosts = ["127.0.0.2", "127.0.0.1"] if host == "servers.test" else [host]
    return [found for host in hosts for found in resolve(host, port, *args, **kwargs)]
socket.getaddrinfo = two_addresses
assert connect(sys.argv[1])[1].startswith("127.0.0.1")
""",
            f"postgresql://admin@nowhere.invalid:1,servers.test:{healthy}/postgres",
        )


def test_the_session_attributes_choose_among_the_hosts(
    run: Run, mortal_postgres: TemporaryPostgres, postgres_url: str
) -> None:
    read_only, writable = port_of(mortal_postgres.url), port_of(postgres_url)
    connection = db.connect(mortal_postgres.url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reads LOGIN; ALTER ROLE reads SET default_transaction_read_only = on")
    connection.close()
    writer = db.connect(postgres_url, name="tests", autocommit=True)
    with writer.cursor() as cursor:
        cursor.execute("CREATE ROLE reads LOGIN")
    dsn = f"postgresql://reads@127.0.0.1:{read_only},127.0.0.1:{writable}/postgres?target_session_attrs="
    try:
        for attributes, port in (("read-write", writable), ("read-only", read_only), ("prefer-standby", read_only)):
            run("assert connect(sys.argv[1])[0] == int(sys.argv[2])", dsn + attributes, str(port))
    finally:
        with writer.cursor() as cursor:
            cursor.execute("DROP ROLE reads")
        writer.close()
        server = db.connect(mortal_postgres.url, name="tests", autocommit=True)
        server.cursor().execute("DROP ROLE reads")
        server.close()


def test_other_greenlets_run_while_one_connects(unanswering: int) -> None:
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
    raise AssertionError("nothing answers there")
"""
    dsn = f"postgresql://admin@127.0.0.1:{unanswering}/postgres"
    source = BEGIN["greenlets"] + PROGRAM + program
    subprocess.run([sys.executable, "-c", source, dsn], check=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("ports", ["1,2,3", "1,2,x"])
def test_a_list_of_ports_that_does_not_fit_is_unavailable(ports: str) -> None:
    with pytest.raises(Unavailable):
        db.connect(f"host=127.0.0.1,127.0.0.1 port={ports} dbname=postgres", name="tests")


def test_a_refusal_names_every_host_in_its_cause() -> None:
    with pytest.raises(Unavailable) as refusal:
        db.connect("postgresql://u:topsecret@127.0.0.1:1,127.0.0.2:1/x", name="tests")
    cause = str(refusal.value.__cause__)
    assert "127.0.0.1" in cause and "127.0.0.2" in cause and "topsecret" not in cause
