"""Clients that ask for large charts and never read them, against the web process as it is run."""

import json
import socket
from contextlib import ExitStack

import psutil
import requests

SLOW_CLIENTS = 30
# Of ten digits each: more than the buffers of a connection hold.
POINTS = 250_000
PATIENCE_SECONDS = 20


def a_large_chart(db, factory):
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


def established(process, port):
    (worker,) = psutil.Process(process.pid).children()
    found = worker.net_connections("tcp")
    return sum(it.status == psutil.CONN_ESTABLISHED and it.laddr.port == port for it in found)


def test_charts_that_nobody_reads_keep_nothing_from_others(db, settings, served, redis, a_factory, eventually):
    large, small = a_factory(points=0), a_factory(points=20)
    a_large_chart(db, large)
    redis.client().flushall()
    web = served(settings, WEB_CONCURRENCY="1", POOL_SIZE="1")
    head = f"GET /api/factory/{large} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as opened:
        slow = []
        for _ in range(SLOW_CLIENTS):
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(("127.0.0.1", web.port))
            connection.sendall(head)
            slow.append(connection)
        # Each of them is being answered.
        assert [connection.recv(12) for connection in slow] == [b"HTTP/1.1 200"] * SLOW_CLIENTS
        paths = [
            f"/api/factory/{small}",
            f"/api/factory/{small}/chart-data?points=6",
            "/api/sprockets",
            "/api/factories",
        ]
        for path in paths * 4:
            assert requests.get(f"{web.base}{path}", timeout=PATIENCE_SECONDS).status_code == 200
        assert established(web.process, web.port) >= SLOW_CLIENTS
        body = b"".join(iter(lambda: slow[0].recv(1 << 20), b"")).partition(b"\r\n\r\n")[2]
        assert len(json.loads(body)["factory"]["chart_data"]["time"]) == POINTS
    eventually(lambda: established(web.process, web.port) == 0)
