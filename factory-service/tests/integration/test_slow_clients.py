"""Clients that request large charts and do not read the responses, with the web process configured as in production."""

import json
import socket
from contextlib import ExitStack

import psutil
import pytest
import requests

SLOW_CLIENTS = 30
# The values have ten digits, so that a response does not fit into the buffers of a connection.
POINTS = 250_000
TIMEOUT_SECONDS = 60


def insert_large_chart(db, factory):
    with db.transaction() as tx:
        tx.run(
            """
            INSERT INTO points SELECT %(id)s, 1611194818 + n, 2000000000 - n, -1000000000 - n, 1
            FROM generate_series(100000, 100000 + %(points)s - 1) AS n
            """,
            id=factory,
            points=POINTS,
        )
        tx.run("UPDATE factories SET points = %(n)s, version = version + 1 WHERE id = %(id)s", n=POINTS, id=factory)


def count_connections(process, port):
    (worker,) = psutil.Process(process.pid).children()
    connections = worker.net_connections("tcp")
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port for connection in connections
    )


@pytest.mark.slow
def test_clients_that_do_not_read_do_not_block_others(db, settings, start_web, redis, a_factory, eventually):
    large, small = a_factory(points=0), a_factory(points=20)
    insert_large_chart(db, large)
    redis.client().flushall()
    web = start_web(settings, WEB_CONCURRENCY="1", POOL_SIZE="1")
    head = f"GET /api/factory/{large} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as stack:
        connections = []
        for _ in range(SLOW_CLIENTS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(("127.0.0.1", web.port))
            connection.sendall(head)
            connections.append(connection)
        # Each response has begun.
        assert [connection.recv(12) for connection in connections] == [b"HTTP/1.1 200"] * SLOW_CLIENTS
        paths = [
            f"/api/factory/{small}",
            f"/api/factory/{small}/chart-data?points=6",
            "/api/sprockets",
            "/api/factories",
        ]
        for path in paths * 4:
            assert requests.get(f"{web.base}{path}", timeout=TIMEOUT_SECONDS).status_code == 200
        assert count_connections(web.process, web.port) >= SLOW_CLIENTS
        body = b"".join(iter(lambda: connections[0].recv(1 << 20), b"")).partition(b"\r\n\r\n")[2]
        assert len(json.loads(body)["factory"]["chart_data"]["time"]) == POINTS
    eventually(lambda: count_connections(web.process, web.port) == 0)
