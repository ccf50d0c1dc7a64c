"""The web process as it is run: slow clients keep nothing from anybody else, and no token is logged."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from chassis import db as postgres
from quintet_testing.postgres import free_port

SLOW_CLIENTS = 60
# More than the buffers of a connection hold.
FILE_BYTES = 24 * 1024 * 1024
PATIENCE_SECONDS = 20


class Web:
    """One process with one connection to Postgres: whoever kept one would keep it from all others."""

    def __init__(self, settings, log, **more):
        self.port, self.log = free_port(), log
        variables = {
            "DATABASE_URL": settings.database_url,
            "DATA_DIR": settings.data_dir,
            "BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "POOL_SIZE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "specstore_service", "web"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **variables, **more}, stdout=output, stderr=subprocess.STDOUT
            )

    def get(self, path, **how):
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_SECONDS, **how)

    def put(self, path, **how):
        return requests.put(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_SECONDS, **how)

    def is_up(self):
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False

    def worker(self):
        (worker,) = psutil.Process(self.process.pid).children()
        return worker

    def open_files(self, name):
        return sum(name in file.path for file in self.worker().open_files())

    def established(self):
        found = self.worker().net_connections("tcp")
        return sum(it.status == psutil.CONN_ESTABLISHED and it.laddr.port == self.port for it in found)

    def connect(self, head, receive_bytes=4096):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(head.encode())
        return connection


@pytest.fixture
def start(db, settings, tmp_path, eventually):
    """Call it with more variables for its environment."""
    started = []

    def start(**more):
        started.append(web := Web(settings, tmp_path / "web.log", **more))
        eventually(web.is_up)
        return web

    yield start
    for web in started:
        web.process.terminate()
        try:
            web.process.wait(60)
        finally:
            web.process.kill()
            web.process.wait()


@pytest.fixture
def web(start):
    return start()


@pytest.fixture
def connections():
    """Closed when the test ends."""
    with ExitStack() as opened:
        yield lambda connection: opened.enter_context(connection)


def served(web, api, flow):
    """What another client gets meanwhile; all of it needs Postgres, files or both."""
    answers = [web.get(f"/source/{flow}") for _ in range(5)]
    answers += [web.get(f"/source/{flow}/data/datapackage.json") for _ in range(5)]
    answers += [web.put("/source/ann/files/other.csv", data=b"a\n1\n", headers=api.headers) for _ in range(5)]
    return [response.status_code for response in answers]


@pytest.fixture(params=["folder", "bucket"])
def web_with_large_file(request, start, api, client, workers, settings):
    """(the process, the flow, its file large.bin), read from each of the two stores."""
    content = os.urandom(1024 * 1024) * (FILE_BYTES // (1024 * 1024))
    assert client.put("/source/ann/files/large.bin", data=content, headers=api.headers).status_code == 200
    flow = api.create_flow(resources=[{"name": "large", "path": "large.bin"}])
    workers.run_all()
    if request.param == "folder":
        return start(), flow, content
    given, keep = request.getfixturevalue("s3")[0], request.getfixturevalue("keep")
    folder = Path(settings.data_dir) / "objects"
    for file in folder.glob("flows/**/*"):
        if file.is_file():
            keep(str(file.relative_to(folder)), file.read_bytes())
    return start(**{name.upper(): value for name, value in given.items()}), flow, content


def test_stalled_downloads_do_not_block_other_clients(web_with_large_file, api, eventually, connections):
    web, flow, content = web_with_large_file
    head = f"GET /source/{flow}/data/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    slow = [connections(web.connect(head)) for _ in range(SLOW_CLIENTS)]
    # Each of them is being answered.
    assert [connection.recv(12) for connection in slow] == [b"HTTP/1.1 200"] * SLOW_CLIENTS
    assert served(web, api, flow) == [200] * 15
    assert web.established() == SLOW_CLIENTS
    assert b"".join(iter(lambda: slow[0].recv(1 << 20), b"")).endswith(content)
    for connection in slow:
        connection.close()
    eventually(lambda: web.established() == 0 and web.open_files("-large.bin") == 0)


def test_stalled_uploads_do_not_block_other_clients(web, api, workers, eventually, connections):
    flow = api.create_flow()
    workers.run_all()

    def head(name, length):
        headers = {"Host": "x", **api.headers, "Content-Length": length}
        lines = [f"PUT /source/ann/files/{name} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        return "\r\n".join(lines) + "\r\n\r\n"

    slow = [connections(web.connect(head(f"{number}.bin", 1000) + "x" * 10)) for number in range(SLOW_CLIENTS)]
    eventually(lambda: web.open_files("/scratch/") == SLOW_CLIENTS)
    assert served(web, api, flow) == [200] * 15
    assert web.open_files("/scratch/") == SLOW_CLIENTS
    slow[0].sendall(b"x" * 990)
    assert slow[0].recv(12) == b"HTTP/1.1 200"
    for connection in slow[1:]:
        connection.close()
    eventually(lambda: web.open_files("/scratch/") == 0)


def test_token_in_path_or_query_is_never_logged(web, api, settings, eventually):
    token = api.headers["Auth-Token"]
    odd = token.replace(".", "%2E")
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        # What no code expects.
        cursor.execute("ALTER TABLE signing_key RENAME TO gone")
        try:
            for path in (f"/source/ann/files/{token}", f"/source/ann/files/{odd}?jwt={token}"):
                assert web.put(path, data=b"x", headers=api.headers).status_code == 500
        finally:
            cursor.execute("ALTER TABLE gone RENAME TO signing_key")
    connection.close()
    for path in (f"/source/{token}/x", f"/source/ann/wines/1?jwt={token}", f"/{token}", f"/source/{token}/x/1/data/y"):
        assert web.get(path).status_code in (400, 404)
    for line in (f"GET /{token} HTTP/9.9", f"GET /x?jwt={token} oh HTTP/1.1", f"GET /{token} HTTP/1.1\r\nA B: {token}"):
        with web.connect(f"{line}\r\nHost: x\r\n\r\n") as malformed:
            assert malformed.recv(12) == b"HTTP/1.1 400"
    eventually(lambda: web.log.read_text().count("request.failed") == 2)
    log = web.log.read_text()
    assert "/source/ann/files/<token>" in log
    assert not [part for part in token.split(".") if part in log]
