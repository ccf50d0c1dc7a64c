"""The web process: gunicorn with gevent, over a real socket."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually

PATH = "/acme_orders/api/v1/orders/import"
MIB = 1024 * 1024


class WebProcess:
    def __init__(self, url, **settings):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": "1"}
        environment |= {"SEQUENCE_URL": "http://127.0.0.1:9", **settings}
        self.process = subprocess.Popen([sys.executable, "-m", "orders_service", "web"], env=environment)

    def wait_until_ready(self):
        eventually(lambda: requests.get(f"{self.base}/livez", timeout=5).ok)

    def begin_upload(self, length=100 * MIB, sent=b"", headers=""):
        """Return a connection on which the first bytes of a file have been sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: {length}\r\n"
        connection.sendall(f"{head}{headers}\r\n".encode() + sent)
        return connection

    def begin_download(self, path):
        """Return a connection whose client requests a response and reads as little of it as possible."""
        connection = socket.socket()
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def workers(self):
        output = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(pid) for pid in output.split()]

    def peak_mib(self):
        """Return the peak memory usage of the largest worker process."""
        return max(self._peak(pid) for pid in self.workers())

    def temporary_bytes(self, folder):
        """Return the size of the open files in the folder, including deleted ones."""
        return sum(
            self._size_within(folder, link) for pid in self.workers() for link in Path(f"/proc/{pid}/fd").iterdir()
        )

    def _size_within(self, folder, link):
        try:
            return link.stat().st_size if os.readlink(link).startswith(str(folder)) else 0
        except FileNotFoundError:  # The file was closed after the directory was listed.
            return 0

    def _peak(self, pid):
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def serving(url, **settings):
    web_process = WebProcess(url, **settings)
    try:
        web_process.wait_until_ready()
        yield web_process
    finally:
        web_process.process.send_signal(signal.SIGTERM)
        web_process.process.wait(timeout=60)


@pytest.fixture(scope="module")
def shared_web_process(settings):
    with serving(settings.database_url) as web_process:
        yield web_process


@pytest.fixture
def web_process(shared_web_process, db):
    return shared_web_process


def test_web_process_does_not_load_polars():
    """Only the worker needs polars, which uses 60 MB and starts threads."""
    program = "import sys, orders_service.app, orders_service.handlers; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def count_uploads_and_chunks(db):
    with db.transaction() as tx:
        return tx.rows("SELECT (SELECT count(*) FROM open_uploads), (SELECT count(*) FROM upload_chunks)")[0]


def count_stored_bytes(db):
    with db.transaction() as tx:
        return tx.value("SELECT sum(length(content)) FROM upload_chunks")


def test_interrupted_upload_leaves_nothing(web_process, db, client):
    with web_process.begin_upload(sent=b"x" * (3 * MIB)):
        eventually(lambda: count_uploads_and_chunks(db)[1] >= 2)
    eventually(lambda: count_uploads_and_chunks(db) == (0, 0))
    assert client.get(f"{PATH}/status").json["total"] == 0


def test_interrupted_chunked_upload_leaves_nothing(web_process, db, client):
    with socket.create_connection(("127.0.0.1", web_process.port), timeout=60) as connection:
        head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (2 * MIB, b"x" * (2 * MIB)))
        eventually(lambda: count_uploads_and_chunks(db)[1] >= 1)
    eventually(lambda: count_uploads_and_chunks(db) == (0, 0))
    assert client.get(f"{PATH}/status").json["total"] == 0


def assert_responsive(web_process):
    for _ in range(20):
        assert requests.get(f"{web_process.base}/acme_orders/api/v1/orders", timeout=30).status_code == 200


def test_forty_slow_uploads_do_not_block_other_requests(web_process, db):
    """Each upload has an Idempotency-Key, but they share one connection to Postgres."""
    with contextlib.ExitStack() as slow:
        for number in range(40):
            headers = f"X-Authenticated-User: slow\r\nIdempotency-Key: slow-{number}\r\n"
            slow.enter_context(web_process.begin_upload(sent=b"id", headers=headers))
        eventually(lambda: count_uploads_and_chunks(db)[0] == 40)
        assert_responsive(web_process)
        assert count_key_connections(db) <= 1
        response = put(web_process, **{"X-Authenticated-User": "ann", "Idempotency-Key": "quick"})
        assert response.status_code == 202
    eventually(lambda: count_uploads_and_chunks(db)[0] == 0)
    eventually(lambda: count_key_connections(db) == 0)


def count_key_connections(db):
    """Count the connections that hold idempotency keys."""
    with db.transaction() as tx:
        return tx.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders-upload'")


@pytest.mark.slow
def test_sixty_stalled_downloads_do_not_block_other_requests(web_process, api, build_csv, build_row):
    count = 20_000
    task = api.run_import(
        build_csv(*(build_row(id, state="NJ", zipcode=f"{id:05}", name="x" * 1000) for id in range(count)))
    )["task_id"]
    before = web_process.peak_mib()
    with contextlib.ExitStack() as stalled:
        connections = [
            stalled.enter_context(web_process.begin_download(f"{PATH}/{task}/errors.csv")) for _ in range(60)
        ]
        assert all(connection.recv(8, socket.MSG_PEEK) == b"HTTP/1.1" for connection in connections)
        assert_responsive(web_process)
        assert put(web_process).status_code == 202
        assert web_process.peak_mib() < before + 60
    report = requests.get(f"{web_process.base}{PATH}/{task}/errors.csv", timeout=60).text.splitlines()
    assert [int(line.split("|", 1)[0]) for line in report[1:]] == list(range(count))


@pytest.mark.slow
def test_upload_that_exceeds_the_time_limit_is_ended_and_leaves_nothing(settings, db):
    with serving(settings.database_url, UPLOAD_MAX_SECONDS="2") as web_process:
        for sent in (b"", b"id|na", b"x" * 300_000):
            with web_process.begin_upload(sent=sent, headers="Idempotency-Key: k\r\n") as connection:
                head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert json.loads(body)["message"].startswith("the upload takes too long")
            assert count_uploads_and_chunks(db) == (0, 0)
        assert put(web_process, **{"Idempotency-Key": "k"}).status_code == 202


def put(web_process, **headers):
    """Return the response, or None if the process does not respond."""
    headers = {"Content-Type": "text/csv", **headers}
    try:
        return requests.put(web_process.base + PATH, data=b"id", headers=headers, timeout=60)
    except requests.RequestException:
        return None


def test_key_is_free_as_soon_as_the_process_that_held_it_is_killed(web_process, db):
    with web_process.begin_upload(sent=b"x" * (2 * MIB), headers="Idempotency-Key: killed-upload\r\n"):
        key = {"Idempotency-Key": "killed-upload"}
        eventually(lambda: count_uploads_and_chunks(db)[1] >= 1)
        response = put(web_process, **key)
        assert (response.status_code, "still in progress" in response.json()["message"]) == (409, True)
        assert response.headers["Retry-After"] == "1"
        for pid in web_process.workers():
            os.kill(pid, signal.SIGKILL)
        # The row of the killed upload is still recent; it must not keep the key from being free.
        eventually(lambda: (response := put(web_process, **key)) is not None and response.status_code == 202, 100)
    eventually(lambda: count_uploads_and_chunks(db)[0] == 1)


PART = b'--x\r\nContent-Disposition: form-data; name="csv_file"; filename="a.csv"\r\n\r\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content_type", "prefix", "suffix"),
    [("text/csv", b"", b""), ("multipart/form-data; boundary=x", PART, b"\r\n--x--\r\n")],
    ids=["body", "form field"],
)
def test_memory_and_temporary_files_do_not_grow_with_the_file(settings, db, tmp_path, content_type, prefix, suffix):
    sizes = []

    def body():
        yield prefix
        for _ in range(120):
            yield b"x" * MIB
            sizes.append(web_process.temporary_bytes(tmp_path))
        yield suffix

    with serving(settings.database_url, TMPDIR=str(tmp_path)) as web_process:
        before = web_process.peak_mib()
        # A response that stays referenced keeps its connection open, and the server waits 20 s for it when it stops.
        headers = {"Content-Type": content_type, "Connection": "close"}
        response = requests.put(web_process.base + PATH, data=body(), headers=headers, timeout=60)
        assert response.status_code == 202
        assert web_process.peak_mib() < min(before + 40, 120)
    assert max(sizes) < MIB
    assert count_uploads_and_chunks(db)[0] == 0
    assert count_stored_bytes(db) == 120 * MIB
