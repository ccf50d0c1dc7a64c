"""In a real web process, slow clients do not block other clients, and no token is logged."""

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
# More than the socket buffers of a connection can contain.
FILE_BYTES = 24 * 1024 * 1024
TIMEOUT_SECONDS = 60


class Web:
    """One web process with a single connection to Postgres, so that a request holding it would block all others."""

    def __init__(self, settings, log, **extra_variables):
        self.port, self.log = free_port(), log
        variables = {
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "DATA_DIR": settings.data_dir,
            "BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "POOL_SIZE": "1",
            # A queue of requests for the connection is not a failure; a request that never releases it is.
            "POOL_WAIT_SECONDS": str(TIMEOUT_SECONDS),
            "PYTHONUNBUFFERED": "1",
            **extra_variables,
        }
        command = [sys.executable, "-m", "specstore_service", "web"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, env=variables, stdout=output, stderr=subprocess.STDOUT)

    def get(self, path, **options):
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_SECONDS, **options)

    def put(self, path, **options):
        return requests.put(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_SECONDS, **options)

    def is_up(self):
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False

    def worker_process(self):
        (worker,) = psutil.Process(self.process.pid).children()
        return worker

    def count_open_files(self, name):
        return sum(name in file.path for file in self.worker_process().open_files())

    def count_clients(self):
        """Count the established connections to this server."""
        connections = self.worker_process().net_connections("tcp")
        return sum(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == self.port
            for connection in connections
        )

    def connect(self, head, receive_bytes=4096):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(head.encode())
        return connection


@pytest.fixture
def start(db, settings, tmp_path, eventually):
    """Start a web process with additional environment variables and return it once it responds."""
    started = []

    def start(**extra_variables):
        started.append(web := Web(settings, tmp_path / "web.log", **extra_variables))
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
def close_later():
    """Yield a function that closes a connection when the test ends."""
    with ExitStack() as stack:
        yield stack.enter_context


def request_as_other_client(web, api, flow):
    """Send requests that need Postgres, files or both, and return their status codes."""
    responses = [web.get(f"/source/{flow}") for _ in range(5)]
    responses += [web.get(f"/source/{flow}/data/datapackage.json") for _ in range(5)]
    responses += [web.put("/source/ann/files/other.csv", data=b"a\n1\n", headers=api.headers) for _ in range(5)]
    return [response.status_code for response in responses]


@pytest.fixture(params=["folder", "bucket"])
def web_with_large_file(request, start, api, client, workers, settings):
    """Return a web process, a flow and the content of its file large.bin, once for each kind of object store."""
    content = os.urandom(1024 * 1024) * (FILE_BYTES // (1024 * 1024))
    assert client.put("/source/ann/files/large.bin", data=content, headers=api.headers).status_code == 200
    flow = api.create_flow(resources=[{"name": "large", "path": "large.bin"}])
    workers.run_all()
    if request.param == "folder":
        return start(), flow, content
    bucket_settings, _ = request.getfixturevalue("s3")
    put_object = request.getfixturevalue("put_object")
    folder = Path(settings.data_dir) / "objects"
    for file in folder.glob("flows/**/*"):
        if file.is_file():
            put_object(str(file.relative_to(folder)), file.read_bytes())
    return start(**{name.upper(): value for name, value in bucket_settings.items()}), flow, content


@pytest.mark.slow
def test_stalled_downloads_do_not_block_other_clients(web_with_large_file, api, eventually, close_later):
    web, flow, content = web_with_large_file
    head = f"GET /source/{flow}/data/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    slow = [close_later(web.connect(head)) for _ in range(SLOW_CLIENTS)]
    # The server has begun to respond to each of them.
    assert [connection.recv(12) for connection in slow] == [b"HTTP/1.1 200"] * SLOW_CLIENTS
    assert request_as_other_client(web, api, flow) == [200] * 15
    assert web.count_clients() == SLOW_CLIENTS
    assert b"".join(iter(lambda: slow[0].recv(1 << 20), b"")).endswith(content)
    for connection in slow:
        connection.close()
    eventually(lambda: web.count_clients() == 0 and web.count_open_files("-large.bin") == 0)


def test_stalled_uploads_do_not_block_other_clients(web, api, workers, eventually, close_later):
    flow = api.create_flow()
    workers.run_all()

    def head(name, length):
        headers = {"Host": "x", **api.headers, "Content-Length": length}
        lines = [f"PUT /source/ann/files/{name} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        return "\r\n".join(lines) + "\r\n\r\n"

    slow = [close_later(web.connect(head(f"{number}.bin", 1000) + "x" * 10)) for number in range(SLOW_CLIENTS)]
    eventually(lambda: web.count_open_files("/scratch/") == SLOW_CLIENTS)
    assert request_as_other_client(web, api, flow) == [200] * 15
    eventually(lambda: web.count_open_files("/scratch/") == SLOW_CLIENTS)
    slow[0].sendall(b"x" * 990)
    assert slow[0].recv(12) == b"HTTP/1.1 200"
    for connection in slow[1:]:
        connection.close()
    eventually(lambda: web.count_open_files("/scratch/") == 0)


def test_token_in_path_or_query_is_never_logged(web, api, settings, eventually):
    token = api.headers["Auth-Token"]
    encoded_token = token.replace(".", "%2E")
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        # Cause an unexpected error in both requests.
        cursor.execute("ALTER TABLE signing_key RENAME TO gone")
        try:
            for path in (f"/source/ann/files/{token}", f"/source/ann/files/{encoded_token}?jwt={token}"):
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
