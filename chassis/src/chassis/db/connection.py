"""Connections to Postgres: each address of the DSN in turn, and cooperative waits where the server model is gevent."""

import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions as pgext

from chassis.errors import Unavailable

_CONNECT_SECONDS = 3
# Above the role's statement_timeout: Postgres speaks first unless it is frozen or unreachable.
_ANSWER_SECONDS = 31
_DEFAULT_PORT = "5432"

_OPTIONS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10000,
}


def connect(dsn: str, *, name: str, autocommit: bool = False) -> Any:
    """Open a connection outside any pool. Raises Unavailable if no address accepts one, each within 3 s.

    libpq would try the hosts itself, but it applies no timeout to a cooperative connection and stays with a frozen one.
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
                connection = psycopg2.connect(**address, application_name=name)
            except psycopg2.OperationalError as error:
                failures.append(f"{address.get('host', 'default host')}: {error}".strip())
            else:
                connection.autocommit = autocommit
                return connection
    raise Unavailable("Postgres is unreachable") from psycopg2.OperationalError("; ".join(failures))


def _hosts(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the options of each host, in the order in which libpq would try them."""
    names, addresses, ports = (options.get(name, "").split(",") for name in ("host", "hostaddr", "port"))
    count = max(len(names), len(addresses))
    if len(ports) == 1:
        ports *= count
    lists = {"host": names, "hostaddr": addresses, "port": ports}
    if any(len(values) != count and values != [""] for values in lists.values()):
        # libpq explains what is wrong with it.
        yield options
        return
    # Two rounds, as in libpq: one host alone would accept at once what is only its second choice.
    rounds: list[dict[str, str]] = [{}]
    if options.get("target_session_attrs") == "prefer-standby":
        rounds = [{"target_session_attrs": "standby"}, {"target_session_attrs": "any"}]
    hosts = list(range(count))
    if options.get("load_balance_hosts") == "random":
        random.shuffle(hosts)
    for attributes in rounds:
        for index in hosts:
            own = {name: values[index] for name, values in lists.items() if index < len(values) and values[index]}
            yield {**{name: value for name, value in options.items() if name not in lists}, **attributes, **own}


def _addresses(host: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each address of one host; raises OSError if its name cannot be resolved."""
    name = host.get("host", "")
    # A folder of Unix sockets, an address, or libpq's default.
    if not name or name.startswith(("/", "@")) or "hostaddr" in host:
        return [host]
    found = socket.getaddrinfo(name, host.get("port", _DEFAULT_PORT), type=socket.SOCK_STREAM)
    return [{**host, "hostaddr": address[0]} for *_, address in found]


def enable_gevent() -> None:
    """While one greenlet waits for Postgres, others run: for a process whose server model is gevent."""
    from gevent import socket as gevent_socket

    def wait(connection: Any) -> None:
        # Connecting is one call of this function, from its first poll to its end.
        is_connecting = connection.status == pgext.STATUS_SETUP
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            state = connection.poll()
            if state == pgext.POLL_OK:
                return
            ready = gevent_socket.wait_read if state == pgext.POLL_READ else gevent_socket.wait_write
            seconds = max(0.0, deadline - time.monotonic()) if is_connecting else _ANSWER_SECONDS
            try:
                ready(connection.fileno(), timeout=seconds)
            except TimeoutError:
                raise psycopg2.OperationalError("no answer in time") from None

    pgext.set_wait_callback(wait)
