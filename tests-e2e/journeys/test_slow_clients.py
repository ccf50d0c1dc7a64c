"""Users who send or read slowly, or upload what is expensive to read, do not slow down the others."""

import base64
import secrets
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import Client, done
from quintet_e2e.specs import Owner
from quintet_testing.waiting import eventually

# As many as held a thread each would have stopped every web process of orders-service.
SLOW_USERS = 5
UPLOADS_PER_USER, DOWNLOADS_PER_USER = 4, 8
# More than what the buffers between a service and a client hold.
LARGE_BYTES = 48 * 2**20
POINTS = 400_000
SAMPLES = 25
SECONDS = 0.5
READS = [f"{orders.API}?limit=5", "/sequences", "/api/v1/streams?limit=5", "/api/factories?limit=1"]


@pytest.fixture
def slow_users(stack) -> Iterator[list[Client]]:
    names = [f"slow-{secrets.token_hex(4)}" for _ in range(SLOW_USERS)]
    clients = [Client(stack, name, stack.add_user(name, "writer")) for name in names]
    yield clients
    for name, each in zip(names, clients, strict=True):
        each.close()
        stack.remove_user(name)


def connection(client: Client, head: str, *, receive_bytes: int | None = None) -> socket.socket:
    """A connection that has sent the head of a request and nothing else."""
    address = urlsplit(client.stack.url)
    opened = socket.socket()
    if receive_bytes:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    opened.settimeout(30)
    opened.connect((address.hostname, address.port))
    basic = base64.b64encode(":".join(client.credentials).encode()).decode()
    opened.sendall(f"{head}\r\nHost: x\r\nAuthorization: Basic {basic}\r\n".encode())
    return opened


def seconds_of_reads(client: Client) -> float:
    """The median time of another user's requests; all of them succeed."""
    times = []
    for number in range(SAMPLES):
        began = time.monotonic()
        done(client.get(READS[number % len(READS)]))
        times.append(time.monotonic() - began)
    return statistics.median(times)


@contextmanager
def others_unaffected(client: Client) -> Iterator[None]:
    """Half a second, or on a machine that is slower than that, ten times what the same requests took before."""
    limit = max(SECONDS, 10 * seconds_of_reads(client))
    yield
    assert seconds_of_reads(client) < limit


def read_slowly(stack: ExitStack, users: list[Client], path: str) -> list[socket.socket]:
    """As many downloads per user as the gateway admits, none of which is read."""
    opened = []
    for user in users:
        for _ in range(DOWNLOADS_PER_USER):
            reader = stack.enter_context(closing(connection(user, f"GET {path} HTTP/1.1", receive_bytes=4096)))
            reader.sendall(b"\r\n")
            assert reader.recv(12) == b"HTTP/1.1 200"
            opened.append(reader)
    return opened


def test_slow_readers_of_an_error_report_block_nobody(stack, client, slow_users):
    row = "none|" + "x" * 1000 + "|stone@example.org|IA|05130|Feb 27, 1963\n"
    content = "id|name|email|state|zipcode|birthday\n" + row * (LARGE_BYTES // len(row))
    task_id = orders.upload(client, content.encode())
    assert orders.ended(client, task_id)["rejected"] > 40_000
    path = f"{orders.API}/import/{task_id}/errors.csv"
    with others_unaffected(client), ExitStack() as readers:
        read_slowly(readers, slow_users, path)
        assert slow_users[0].get(path).status_code == 429
        assert seconds_of_reads(client) < 10 * SECONDS
        report = client.get(path)
        assert report.ok and len(report.content) > LARGE_BYTES * 0.9
    eventually(lambda: slow_users[0].get(path, stream=True).status_code == 200)


def test_slow_readers_of_a_dataset_block_nobody(client, slow_users):
    owner = Owner(client)
    owner.keep_file("large.bin", secrets.token_bytes(LARGE_BYTES))
    resource = {"name": "large", "path": "large.bin"}
    spec = owner.spec(owner.new_dataset())
    parameters = spec["inputs"][0]["parameters"]
    parameters["descriptor"]["resources"] = [resource]
    parameters["resource-mapping"] = {"large": "large.bin"}
    flow = done(client.post("/source/upload", headers=owner.headers, json=spec))["flow_id"]
    status = owner.ended(flow)
    assert status["state"] == "SUCCEEDED", status
    path = f"/source/{flow}/data/{status['pipelines'][f'{flow}/large']['stats']['path']}"
    reads = [f"/source/{owner.id}?limit=1", *READS]
    with others_unaffected(client), ExitStack() as readers:
        read_slowly(readers, slow_users, path)
        assert slow_users[0].get(path).status_code == 429
        for read in reads * 3:
            done(client.get(read, headers=owner.headers, timeout=10))
        assert len(client.get(path).content) == LARGE_BYTES


def test_slow_readers_of_a_chart_block_nobody(client, slow_users):
    values = [secrets.randbelow(2**31) for _ in range(POINTS)]
    chart = {"time": list(range(10**9, 10**9 + POINTS))}
    chart |= {"sprocket_production_actual": values, "sprocket_production_goal": values}
    load = client.post("/api/factories/load", json={"factories": [{"factory": {"chart_data": chart}}]})
    assert load.status_code == 202, load.text
    eventually(lambda: done(client.get(load.headers["Location"]))["status"] == "SUCCESS", 120)
    newest = done(client.get("/api/factories?limit=1"))["count"] - 1
    factory_id = done(client.get(f"/api/factories?limit=1&offset={newest}"))["factories"][0]["id"]
    path = f"/api/factory/{factory_id}"
    with others_unaffected(client), ExitStack() as readers:
        read_slowly(readers, slow_users, path)
        assert seconds_of_reads(client) < 10 * SECONDS
        assert len(done(client.get(path))["factory"]["chart_data"]["time"]) == POINTS


def trickle(uploads: list[socket.socket], ended: threading.Event) -> None:
    """One byte for each now and then."""
    while not ended.wait(1):
        for upload in uploads:
            try:
                upload.sendall(b"1")
            except OSError:
                continue


@pytest.mark.parametrize(
    ("path", "content_type"),
    [(f"{orders.API}/import", "text/csv"), ("/source/{user}/files/slow.csv", "text/csv")],
)
def test_slow_uploads_leave_room_for_others(stack, client, slow_users, path, content_type):
    ended = threading.Event()
    with others_unaffected(client), ExitStack() as opened:
        uploads = []
        for user in slow_users:
            token = done(user.post("/auth/token"))["token"]
            for _ in range(UPLOADS_PER_USER):
                head = f"PUT {path.format(user=user.credentials[0])} HTTP/1.1"
                upload = opened.enter_context(closing(connection(user, head)))
                upload.sendall(
                    f"Content-Type: {content_type}\r\nAuth-Token: {token}\r\nContent-Length: 99999\r\n\r\nid|".encode()
                )
                uploads.append(upload)
        thread = threading.Thread(target=trickle, args=(uploads, ended))
        thread.start()
        try:
            answer = slow_users[0].put(f"{orders.API}/import", headers=orders.CSV, data=b"id|name\n")
            assert answer.status_code == 429, answer.text
            assert seconds_of_reads(client) < 10 * SECONDS
            first = orders.new_ids()
            task_id = orders.upload(client, orders.orders(first, 100))
            assert orders.ended(client, task_id)["status"] == "SUCCESS"
            Owner(client).keep_file("quick.csv", b"a,b\n1,2\n")
        finally:
            ended.set()
            thread.join()


def test_a_file_with_a_million_columns_fails_quickly_and_blocks_nobody(client):
    header = "|".join(f"column{number}" for number in range(1_000_000))
    with others_unaffected(client):
        task_id = orders.upload(client, f"{header}\n1|2|3\n".encode())
        status = orders.ended(client, task_id, within_seconds=60)
    assert status["status"] == "FAILURE"
    assert "1000" in status["message"].replace(",", "").replace(".", ""), status["message"]
