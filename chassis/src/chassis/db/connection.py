"""Connections to Postgres: try each address of the DSN in turn, and wait cooperatively under gevent."""

import random
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions as pgext

from chassis.errors import Unavailable

Connection = pgext.connection

_CONNECT_SECONDS = 3
# Longer than the role's statement_timeout: Postgres responds first unless it is frozen or unreachable.
_RESPONSE_SECONDS = 31
# A statement may take long, but then Postgres accepts other connections. If it twice does not, requests wait no longer.
_PROBE_AFTER_SECONDS, _PROBE_SECONDS, _MAX_FAILED_PROBES = 2.5, 2, 2
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_DEFAULT_PORT = "5432"

_OPTIONS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives": 1,
    # If the network fails, the connection ends after at most 11 seconds; the roles have the same for the server's side.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10000,
}


def connect(dsn: str, *, name: str, autocommit: bool = False) -> Connection:
    """Open a connection outside any pool. Raises Unavailable if no address accepts one, each within 3 s.

    libpq can try several hosts itself, but with cooperative waits it has no timeout and never leaves a frozen host.
    """
    failures = []
    for host in _hosts({**pgext.parse_dsn(dsn), **_OPTIONS}):
        try:
            addresses = _addresses(host)
        except OSError as error:
            failures.append(f"{host['host']}: {error}")
            continue
        for address in addresses:
            try:
                connection: Connection = psycopg2.connect(**address, application_name=name)
            except psycopg2.OperationalError as error:
                failures.append(f"{address.get('host', 'default host')}: {error}".strip())
            else:
                connection.autocommit = autocommit
                return connection
    raise Unavailable("Postgres is unreachable") from psycopg2.OperationalError("; ".join(failures))


def _hosts(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the options of each host, in the order in which libpq would try them."""
    names, addresses, ports = (options.get(name, "").split(",") for name in ("host", "hostaddr", "port"))
    count = max(len(names), len(addresses))
    if len(ports) == 1:
        ports *= count
    lists = {"host": names, "hostaddr": addresses, "port": ports}
    if any(len(values) != count and values != [""] for values in lists.values()):
        # libpq raises the error that explains the mismatch.
        yield options
        return
    # Two rounds, as in libpq: with "prefer-standby", a single host would accept its second choice immediately.
    rounds: list[dict[str, str]] = [{}]
    if options.get("target_session_attrs") == "prefer-standby":
        rounds = [{"target_session_attrs": "standby"}, {"target_session_attrs": "any"}]
    indices = list(range(count))
    if options.get("load_balance_hosts") == "random":
        random.shuffle(indices)
    common = {name: value for name, value in options.items() if name not in lists}
    for attributes in rounds:
        for index in indices:
            host_options = {
                name: values[index] for name, values in lists.items() if index < len(values) and values[index]
            }
            yield {**common, **attributes, **host_options}


def _addresses(host: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each address of a host; raise OSError if its name cannot be resolved."""
    name = host.get("host", "")
    # A directory of Unix sockets, an explicit address, or libpq's default needs no resolution.
    if not name or name.startswith(("/", "@")) or "hostaddr" in host:
        return [host]
    resolved = socket.getaddrinfo(name, host.get("port", _DEFAULT_PORT), type=socket.SOCK_STREAM)
    return [{**host, "hostaddr": address[0]} for *_, address in resolved]


class NotResponding(psycopg2.OperationalError):
    """Postgres does not respond on any connection: it is frozen, or the network is interrupted."""


def enable_gevent() -> None:
    """Let other greenlets run while one waits for Postgres. Applies to the whole process."""
    from gevent import socket as gevent_socket

    def wait(connection: Connection) -> None:
        # psycopg2 calls this function once for the whole process of connecting.
        is_connecting = connection.status == pgext.STATUS_SETUP
        deadline = time.monotonic() + (_CONNECT_SECONDS if is_connecting else _RESPONSE_SECONDS)
        failed_probes = 0
        while True:
            state = connection.poll()
            if state == pgext.POLL_OK:
                return
            wait_until_ready = gevent_socket.wait_read if state == pgext.POLL_READ else gevent_socket.wait_write
            timeout_seconds = max(0.0, deadline - time.monotonic())
            if not is_connecting:
                timeout_seconds = min(timeout_seconds, _PROBE_AFTER_SECONDS)
            try:
                wait_until_ready(connection.fileno(), timeout=timeout_seconds)
            except TimeoutError:
                if is_connecting or time.monotonic() >= deadline:
                    raise psycopg2.OperationalError("Postgres did not respond in time") from None
                failed_probes = 0 if _accepts_connections(connection) else failed_probes + 1
                if failed_probes == _MAX_FAILED_PROBES:
                    raise NotResponding("Postgres does not respond") from None
            else:
                failed_probes = 0
                # Each part of a response may take that long.
                deadline = deadline if is_connecting else time.monotonic() + _RESPONSE_SECONDS

    pgext.set_wait_callback(wait)


def _accepts_connections(connection: Connection) -> bool:
    """Return whether Postgres responds to the request that precedes authentication."""
    from gevent import socket as gevent_socket

    host, port = connection.info.dsn_parameters.get("hostaddr") or connection.info.host, connection.info.port
    try:
        if host.startswith(("/", "@")):
            probe = gevent_socket.socket(socket.AF_UNIX)
            probe.settimeout(_PROBE_SECONDS)
            # For libpq, `@` stands for the NUL byte of an abstract address.
            folder = host if host.startswith("/") else f"\0{host[1:]}"
            probe.connect(f"{folder}/.s.PGSQL.{port}")
        else:
            probe = gevent_socket.create_connection((host, port), timeout=_PROBE_SECONDS)
        with probe:
            probe.sendall(_SSL_REQUEST)
            return bool(probe.recv(1))
    except OSError:
        return False
