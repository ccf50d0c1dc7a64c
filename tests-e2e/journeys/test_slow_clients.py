"""Users who send or read slowly, or upload files that are expensive to parse, do not slow down other users."""

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
from quintet_e2e.clients import Client, ok_json
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.slow, ON_ONE_STACK]

# If each upload occupied a thread, these would exhaust all threads of orders-service.
SLOW_USERS = 5
UPLOADS_PER_USER, DOWNLOADS_PER_USER = 4, 8
# More than the buffers between a service and a client hold.
LARGE_BYTES = 48 * 2**20
POINTS = 400_000
SAMPLES = 25
MAX_MEDIAN_SECONDS = 0.5
READ_PATHS = [f"{orders.API}?limit=5", "/sequences", "/api/v1/streams?limit=5", "/api/factories?limit=1"]


@pytest.fixture
def slow_users(stack) -> Iterator[list[Client]]:
    names = [f"slow-{secrets.token_hex(4)}" for _ in range(SLOW_USERS)]
    clients = [Client(stack, name, stack.add_user(name, "writer")) for name in names]
    yield clients
    for name, client in zip(names, clients, strict=True):
        client.close()
        stack.remove_user(name)


def open_connection(client: Client, head: str, *, receive_bytes: int | None = None) -> socket.socket:
    """Return a connection that has sent the first headers of a request."""
    address = urlsplit(client.stack.url)
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(30)
    connection.connect((address.hostname, address.port))
    basic = base64.b64encode(":".join(client.credentials).encode()).decode()
    connection.sendall(f"{head}\r\nHost: x\r\nAuthorization: Basic {basic}\r\n".encode())
    return connection


def median_read_seconds(client: Client) -> float:
    """Return the median duration of another user's requests, all of which must succeed."""
    durations = []
    for number in range(SAMPLES):
        started_at = time.monotonic()
        ok_json(client.get(READ_PATHS[number % len(READ_PATHS)]))
        durations.append(time.monotonic() - started_at)
    return statistics.median(durations)


@contextmanager
def others_unaffected(client: Client) -> Iterator[None]:
    """Assert that other requests take less than 0.5 s, or on a slow machine less than ten times as long as before."""
    limit = max(MAX_MEDIAN_SECONDS, 10 * median_read_seconds(client))
    yield
    assert median_read_seconds(client) < limit


def stall_downloads(connections: ExitStack, users: list[Client], path: str) -> list[socket.socket]:
    """Start as many downloads per user as the gateway permits, and read none of them."""
    readers = []
    for user in users:
        for _ in range(DOWNLOADS_PER_USER):
            connection = open_connection(user, f"GET {path} HTTP/1.1", receive_bytes=4096)
            reader = connections.enter_context(closing(connection))
            reader.sendall(b"\r\n")
            assert reader.recv(12) == b"HTTP/1.1 200"
            readers.append(reader)
    return readers


def test_slow_readers_of_error_report_do_not_affect_others(stack, client, slow_users):
    row = "none|" + "x" * 1000 + "|stone@example.org|IA|05130|Feb 27, 1963\n"
    content = "id|name|email|state|zipcode|birthday\n" + row * (LARGE_BYTES // len(row))
    task_id = orders.upload(client, content.encode())
    assert orders.wait_for_end(client, task_id)["rejected"] > 40_000
    path = f"{orders.API}/import/{task_id}/errors.csv"
    with others_unaffected(client), ExitStack() as readers:
        stall_downloads(readers, slow_users, path)
        # The gateway disconnects clients that have read nothing for 15 s; those of the last user are the most recent.
        assert slow_users[-1].get(path).status_code == 429
        assert median_read_seconds(client) < 10 * MAX_MEDIAN_SECONDS
        report = client.get(path)
        assert report.ok and len(report.content) > LARGE_BYTES * 0.9
    eventually(lambda: slow_users[-1].get(path, stream=True).status_code == 200)


def test_slow_readers_of_dataset_do_not_affect_others(client, slow_users):
    owner = Owner(client)
    owner.store_file("large.bin", secrets.token_bytes(LARGE_BYTES))
    resource = {"name": "large", "path": "large.bin"}
    spec = owner.spec(owner.new_dataset_name())
    parameters = spec["inputs"][0]["parameters"]
    parameters["descriptor"]["resources"] = [resource]
    parameters["resource-mapping"] = {"large": "large.bin"}
    flow = ok_json(client.post("/source/upload", headers=owner.headers, json=spec))["flow_id"]
    status = owner.wait_for_end(flow)
    assert status["state"] == "SUCCEEDED", status
    path = f"/source/{flow}/data/{status['pipelines'][f'{flow}/large']['stats']['path']}"
    read_paths = [f"/source/{owner.id}?limit=1", *READ_PATHS]
    with others_unaffected(client), ExitStack() as readers:
        stall_downloads(readers, slow_users, path)
        # The gateway disconnects clients that have read nothing for 15 s; those of the last user are the most recent.
        assert slow_users[-1].get(path).status_code == 429
        for read_path in read_paths * 3:
            ok_json(client.get(read_path, headers=owner.headers))
        assert len(client.get(path).content) == LARGE_BYTES


def test_slow_readers_of_chart_do_not_affect_others(client, slow_users):
    values = [secrets.randbelow(2**31) for _ in range(POINTS)]
    chart = {"time": list(range(10**9, 10**9 + POINTS))}
    chart |= {"sprocket_production_actual": values, "sprocket_production_goal": values}
    load = client.post("/api/factories/load", json={"factories": [{"factory": {"chart_data": chart}}]})
    assert load.status_code == 202, load.text
    eventually(lambda: ok_json(client.get(load.headers["Location"]))["status"] == "SUCCESS", 120)
    newest_index = ok_json(client.get("/api/factories?limit=1"))["count"] - 1
    factory_id = ok_json(client.get(f"/api/factories?limit=1&offset={newest_index}"))["factories"][0]["id"]
    path = f"/api/factory/{factory_id}"
    with others_unaffected(client), ExitStack() as readers:
        stall_downloads(readers, slow_users, path)
        assert median_read_seconds(client) < 10 * MAX_MEDIAN_SECONDS
        assert len(ok_json(client.get(path))["factory"]["chart_data"]["time"]) == POINTS


def trickle(uploads: list[socket.socket], stop_event: threading.Event) -> None:
    """Send one byte per second on each connection."""
    while not stop_event.wait(1):
        for upload in uploads:
            try:
                upload.sendall(b"1")
            except OSError:
                continue


@pytest.mark.parametrize(
    ("path", "content_type"),
    [(f"{orders.API}/import", "text/csv"), ("/source/{user}/files/slow.csv", "text/csv")],
    ids=["orders", "specstore"],
)
def test_slow_uploads_do_not_affect_others(stack, client, slow_users, path, content_type):
    stop_event = threading.Event()
    with others_unaffected(client), ExitStack() as connections:
        uploads = []
        for user in slow_users:
            token = ok_json(user.post("/auth/token"))["token"]
            for _ in range(UPLOADS_PER_USER):
                head = f"PUT {path.format(user=user.credentials[0])} HTTP/1.1"
                upload = connections.enter_context(closing(open_connection(user, head)))
                upload.sendall(
                    f"Content-Type: {content_type}\r\nAuth-Token: {token}\r\nContent-Length: 99999\r\n\r\nid|".encode()
                )
                uploads.append(upload)
        thread = threading.Thread(target=trickle, args=(uploads, stop_event))
        thread.start()
        try:
            response = slow_users[0].put(f"{orders.API}/import", headers=orders.CSV, data=b"id|name\n")
            assert response.status_code == 429, response.text
            assert median_read_seconds(client) < 10 * MAX_MEDIAN_SECONDS
            first = orders.first_unused_id()
            task_id = orders.upload(client, orders.orders_file(first, 100))
            assert orders.wait_for_end(client, task_id)["status"] == "SUCCESS"
            Owner(client).store_file("quick.csv", b"a,b\n1,2\n")
        finally:
            stop_event.set()
            thread.join()


def test_file_with_million_columns_fails_fast_without_affecting_others(client):
    header = "|".join(f"column{number}" for number in range(1_000_000))
    with others_unaffected(client):
        task_id = orders.upload(client, f"{header}\n1|2|3\n".encode())
        status = orders.wait_for_end(client, task_id)
    assert status["status"] == "FAILURE"
    assert "1000" in status["message"].replace(",", "").replace(".", ""), status["message"]
