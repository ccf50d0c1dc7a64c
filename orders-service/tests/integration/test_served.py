"""The web process as it runs: gunicorn with gevent, over a real socket."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually

PATH = "/acme_orders/api/v1/orders/import"
MIB = 1024 * 1024


class Served:
    def __init__(self, url, **settings):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": "1"}
        more = {"SEQUENCE_URL": "http://127.0.0.1:9", **settings}
        self.process = subprocess.Popen([sys.executable, "-m", "orders_service", "web"], env=environment | more)

    def until_it_answers(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                return requests.get(f"{self.base}/livez", timeout=5).raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError("the web process did not start")

    def begin_upload(self, length=100 * MIB, sent=b"", more=""):
        """A connection on which a part of a file has come."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: {length}\r\n"
        connection.sendall(f"{head}{more}\r\n".encode() + sent)
        return connection

    def begin_download(self, path):
        """A connection on which a response begins, and whose client takes as little of it as possible."""
        connection = socket.socket()
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def workers(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(pid) for pid in found.split()]

    def peak_mib(self):
        """Of its processes, the largest that each has been."""
        return max(self._peak(pid) for pid in self.workers())

    def temporary_bytes(self, folder):
        """Of the open files in that folder, also of those without a name any more."""
        return sum(
            self._size_within(folder, link) for pid in self.workers() for link in Path(f"/proc/{pid}/fd").iterdir()
        )

    def _size_within(self, folder, link):
        try:
            return link.stat().st_size if os.readlink(link).startswith(str(folder)) else 0
        except FileNotFoundError:  # closed since the directory was listed
            return 0

    def _peak(self, pid):
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def serving(url, **settings):
    started = Served(url, **settings)
    try:
        started.until_it_answers()
        yield started
    finally:
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(timeout=60)


@pytest.fixture(scope="module")
def process(settings):
    with serving(settings.database_url) as started:
        yield started


@pytest.fixture
def served(process, db):
    return process


def test_a_web_process_does_not_load_polars():
    """It would take 60 MB and threads of its own; only the worker validates."""
    program = "import sys, orders_service.app, orders_service.handlers; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def left(db):
    with db.transaction() as tx:
        return tx.rows("SELECT (SELECT count(*) FROM uploads), (SELECT count(*) FROM blocks)")[0]


def bytes_left(db):
    with db.transaction() as tx:
        return tx.value("SELECT sum(length(content)) FROM blocks")


def test_an_upload_that_is_cut_leaves_nothing(served, db, client):
    with served.begin_upload(sent=b"x" * (3 * MIB)):
        eventually(lambda: left(db)[1] >= 2)
    eventually(lambda: left(db) == (0, 0))
    assert client.get(f"{PATH}/status").json["total"] == 0


def test_a_chunked_body_that_is_cut_leaves_nothing(served, db, client):
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (2 * MIB, b"x" * (2 * MIB)))
        eventually(lambda: left(db)[1] >= 1)
    eventually(lambda: left(db) == (0, 0))
    assert client.get(f"{PATH}/status").json["total"] == 0


def assert_others_are_served(served):
    for _ in range(20):
        assert requests.get(f"{served.base}/acme_orders/api/v1/orders", timeout=30).status_code == 200


def test_forty_slow_uploads_of_one_user_leave_room_for_others(served, db):
    """With an Idempotency-Key each, which must not cost a connection of Postgres each."""
    with contextlib.ExitStack() as slow:
        for number in range(40):
            more = f"X-Authenticated-User: mallory\r\nIdempotency-Key: slow-{number}\r\n"
            slow.enter_context(served.begin_upload(sent=b"id", more=more))
        eventually(lambda: left(db)[0] == 40)
        assert_others_are_served(served)
        assert connections(db) <= 1
        sent = put(served, **{"X-Authenticated-User": "ann", "Idempotency-Key": "quick"})
        assert sent.status_code == 202
    eventually(lambda: left(db)[0] == 0)
    eventually(lambda: connections(db) == 0)


def connections(db):
    """Of those that hold Idempotency-Keys."""
    with db.transaction() as tx:
        return tx.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders-upload'")


def test_sixty_readers_of_a_report_who_never_read_leave_room_for_others(served, api, a_file, an_order):
    count = 20_000
    task = api.imported(
        a_file(*(an_order(id, state="NJ", zipcode=f"{id:05}", name="x" * 1000) for id in range(count)))
    )["task_id"]
    before = served.peak_mib()
    with contextlib.ExitStack() as readers:
        begun = [readers.enter_context(served.begin_download(f"{PATH}/{task}/errors.csv")) for _ in range(60)]
        assert all(connection.recv(8, socket.MSG_PEEK) == b"HTTP/1.1" for connection in begun)
        assert_others_are_served(served)
        assert put(served).status_code == 202
        assert served.peak_mib() < before + 60
    whole = requests.get(f"{served.base}{PATH}/{task}/errors.csv", timeout=60).text.splitlines()
    assert [int(line.split("|", 1)[0]) for line in whole[1:]] == list(range(count))


def test_an_upload_that_sends_nothing_is_ended_and_leaves_nothing(settings, db):
    with serving(settings.database_url, UPLOAD_MAX_SECONDS="2") as impatient:
        for sent in (b"", b"id|na", b"x" * 300_000):
            with impatient.begin_upload(sent=sent, more="Idempotency-Key: k\r\n") as connection:
                head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert json.loads(body)["message"].startswith("the upload takes too long")
            assert left(db) == (0, 0)
        assert put(impatient, **{"Idempotency-Key": "k"}).status_code == 202


def put(served, **headers):
    """None where nobody answers."""
    headers = {"Content-Type": "text/csv", **headers}
    try:
        return requests.put(served.base + PATH, data=b"id", headers=headers, timeout=60)
    except requests.RequestException:
        return None


def test_a_key_is_free_again_as_soon_as_the_process_that_held_it_is_killed(served, db):
    with served.begin_upload(sent=b"x" * (2 * MIB), more="Idempotency-Key: of-a-killed-one\r\n"):
        key = {"Idempotency-Key": "of-a-killed-one"}
        eventually(lambda: left(db)[1] >= 1)
        refused = put(served, **key)
        assert (refused.status_code, "under way" in refused.json()["message"]) == (409, True)
        for pid in served.workers():
            os.kill(pid, signal.SIGKILL)
        # What is left of it says that it was heard of lately.
        eventually(lambda: (answer := put(served, **key)) is not None and answer.status_code == 202, 100)
    eventually(lambda: left(db)[0] == 1)


PART = b'--x\r\nContent-Disposition: form-data; name="csv_file"; filename="a.csv"\r\n\r\n'


@pytest.mark.parametrize(
    ("content_type", "begin", "end"),
    [("text/csv", b"", b""), ("multipart/form-data; boundary=x", PART, b"\r\n--x--\r\n")],
)
def test_memory_and_temporary_files_do_not_grow_with_the_file(settings, db, tmp_path, content_type, begin, end):
    sizes = []

    def body():
        yield begin
        for _ in range(120):
            yield b"x" * MIB
            sizes.append(served.temporary_bytes(tmp_path))
        yield end

    with serving(settings.database_url, TMPDIR=str(tmp_path)) as served:
        before = served.peak_mib()
        response = requests.put(served.base + PATH, data=body(), headers={"Content-Type": content_type}, timeout=60)
        assert response.status_code == 202
        assert served.peak_mib() < min(before + 40, 120)
    assert max(sizes) < MIB
    assert left(db)[0] == 0
    assert bytes_left(db) == 120 * MIB
