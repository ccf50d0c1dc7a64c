"""The web process as it runs: gunicorn with threads, over a real socket."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from chassis.throwaway import free_port

PATH = "/acme_orders/api/v1/orders/import"
MIB = 1024 * 1024


class Served:
    def __init__(self, url):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": "1"}
        more = {"SEQUENCE_URL": "http://127.0.0.1:9", "WEB_THREADS": "4", "UPLOADS_AT_ONCE": "2"}
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

    def workers(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(pid) for pid in found.split()]

    def peak_mib(self):
        """Of its processes, the largest that each has been."""
        return max(self._peak(pid) for pid in self.workers())

    def _peak(self, pid):
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


@pytest.fixture(scope="module")
def process(settings):
    found = Served(settings.database_url)
    try:
        found.until_it_answers()
        yield found
    finally:
        found.process.send_signal(signal.SIGTERM)
        found.process.wait(timeout=60)


@pytest.fixture
def served(process, db):
    return process


def eventually(check, within_seconds=60):
    deadline = time.monotonic() + within_seconds
    while not check():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.05)


def left(db):
    with db.transaction() as tx:
        return tx.rows("SELECT (SELECT count(*) FROM uploads), (SELECT count(*) FROM blocks)")[0]


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


def test_uploads_beyond_the_limit_are_told_at_once_and_small_requests_find_a_thread(served, db):
    slow = [served.begin_upload(sent=b"id") for _ in range(2)]
    try:
        eventually(lambda: left(db)[0] == 2)
        refused = requests.put(served.base + PATH, data=b"id", headers={"Content-Type": "text/csv"}, timeout=30)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["message"] == "too many uploads are under way; try again later"
        for _ in range(20):
            assert requests.get(f"{served.base}/acme_orders/api/v1/orders", timeout=30).status_code == 200
    finally:
        for connection in slow:
            connection.close()
    eventually(lambda: left(db) == (0, 0))

    def one_is_taken_again():
        answer = requests.put(served.base + PATH, data=b"", headers={"Content-Type": "text/csv"}, timeout=30)
        return answer.status_code == 202

    eventually(one_is_taken_again)


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


def test_memory_does_not_grow_with_the_file(served, db):
    def lines():
        for _ in range(120):
            yield b"x" * MIB

    before = served.peak_mib()
    answer = requests.put(served.base + PATH, data=lines(), headers={"Content-Type": "text/csv"}, timeout=60)
    assert answer.status_code == 202
    assert left(db) == (0, 120)
    assert served.peak_mib() < min(before + 40, 120)
