"""Limits on request rates, body sizes, slow clients, and concurrent requests."""

import os
import re
import select
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from quintet_testing.waiting import eventually

GATEWAY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def limited_gateway(start_gateway_with_quotas):
    return start_gateway_with_quotas()


def statuses(gateway, count, *credentials, path="/sequences", **options):
    return [gateway.call("GET", path, *credentials, **options).status for _ in range(count)]


def test_too_many_requests_return_429(limited_gateway):
    assert statuses(limited_gateway, 6, "ann") == [200] * 6
    response = limited_gateway.call("GET", "/sequences", "ann")
    assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert (response.headers["Content-Type"], response.json()["title"]) == (
        "application/problem+json",
        "Too Many Requests",
    )
    assert statuses(limited_gateway, 2, "ann", path="/") == [429] * 2  # pages count too
    assert statuses(limited_gateway, 8, "rita") == [200] * 6 + [429] * 2  # each user has a quota
    assert 200 in statuses(limited_gateway, 30, "root")[6:]  # each role has a rate


def test_requests_without_an_existing_user_count_per_address(limited_gateway):
    assert statuses(limited_gateway, 8, address="127.0.0.3") == [401] * 6 + [429] * 2
    unknown_users = [
        limited_gateway.call("GET", "/sequences", f"user{n}", "x", address="127.0.0.4").status for n in range(8)
    ]
    assert unknown_users == [401] * 6 + [429] * 2


def test_limits_can_be_disabled(start_gateway):
    gateway = start_gateway(RATE_LIMITS="off", RATE_LIMIT_WRITER="1", RATE_BURST="1")
    assert statuses(gateway, 50, "ann") == [200] * 50


def test_default_limit_allows_a_burst_of_concurrent_requests(start_gateway):
    gateway = start_gateway()
    gateway.call("GET", "/style.css", "ann")
    with ThreadPoolExecutor(8) as pool:
        received = list(pool.map(lambda _: gateway.call("GET", "/style.css", "ann").status, range(900)))
    assert received == [200] * 900


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        "GET /sequences HTTP/1.1\r\nHost: x\r\n",
        "POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 100\r\n\r\n{{",
    ],
)
def test_slow_client_is_disconnected(gateway, sent):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        started_at = time.monotonic()
        client.sendall(sent.format(gateway.basic("ann")).encode())
        client.recv(65536)
        assert time.monotonic() - started_at > 1.5  # CLIENT_TIMEOUT is 2 s here
    assert gateway.services["sequence"].requests == []


@pytest.mark.slow
def test_slow_headers_do_not_extend_the_timeout(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.settimeout(0.3)
        client.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(200):
            try:
                client.sendall(b"a")
                if not client.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("the client was not disconnected")


def test_idle_connections_do_not_block_requests(gateway):
    idle = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(800)]
    try:
        assert gateway.call("GET", "/sequences", "ann").status == 200
    finally:
        for connection in idle:
            connection.close()


REQUIRED_SETTINGS = [
    "server_tokens off;",
    "merge_slashes off;",
    "underscores_in_headers off;",
    "ignore_invalid_headers on;",
    "client_max_body_size 1m;",
    "large_client_header_buffers 4 8k;",
    "proxy_connect_timeout 1s;",
    "proxy_read_timeout 30s;",
    "proxy_send_timeout 30s;",
    "client_header_timeout 15s;",
    "client_body_timeout 15s;",
    "send_timeout 15s;",
]


@pytest.fixture(scope="module")
def configuration(start_gateway):
    """The complete configuration as nginx reads it, without comments."""
    gateway = start_gateway()
    dump = subprocess.run([*gateway.nginx, "-T"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"(^|\s)#.*", "", dump)


@pytest.mark.parametrize("setting", REQUIRED_SETTINGS)
def test_configuration_contains_each_required_setting(configuration, setting):
    assert re.search(rf"^\s*{re.escape(setting)}", configuration, re.MULTILINE)


def test_every_service_has_its_upstream_and_pages(configuration):
    services = re.search(r"openapi/\(\?<document>([a-z|]+)\)", configuration)[1].split("|")
    assert services == sorted(services, key=services.index) and len(services) == 5
    for service in services:
        assert f"upstream {service}-web " in configuration
        assert f"set $upstream {service}-web;" in configuration
        assert f"<option>{service}-service</option>" in (GATEWAY / "pages" / "docs" / "index.html").read_text()


def test_every_variable_is_in_the_readme():
    template = set(re.findall(r"\$\{([A-Z_]+)\}", (GATEWAY / "nginx.conf.template").read_text()))
    script = (GATEWAY / "render.sh").read_text()
    settable = set(re.findall(r'^: "\$\{([A-Z_]+):=', script, re.MULTILINE))
    deployment = set(re.findall(r"^([A-Z_]+)=\$\{\1:-", script, re.MULTILINE))
    computed = set(re.findall(r"^([A-Z_]+)=(?!\$\{\1:-)", script, re.MULTILINE)) | {"UPSTREAM_SUFFIX"}
    assert template <= settable | deployment | computed
    table = set(re.findall(r"^\| `([A-Z_]+)`", (GATEWAY / "README.md").read_text(), re.MULTILINE))
    assert table == settable | deployment | {"SERVICES"}


def slow_upload(gateway, user, path="/acme_orders/api/v1/orders/import"):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic(user)}\r\nContent-Length: 1000\r\n\r\n"
    client.sendall(head.encode() + b"x")
    return client


@pytest.mark.slow
def test_user_is_limited_to_500_concurrent_requests(start_gateway):
    gateway = start_gateway(RATE_LIMITS="off", CLIENT_TIMEOUT="60s")
    head = f"POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n"
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60)) for _ in range(501)
        ]
        for client in clients:
            client.sendall(f"{head}Content-Length: 1000000\r\n\r\nx".encode())
        # nginx's processes accept the connections in any order, so that any of the requests may be the one in excess.
        (rejected,), _, _ = select.select(clients, [], [], 60)
        assert rejected.recv(65536).startswith(b"HTTP/1.1 429 ")
        assert gateway.call("GET", "/sequences", "ann").status == 429
        assert gateway.call("GET", "/sequences", "root").status == 200
    eventually(lambda: gateway.call("GET", "/sequences", "ann").status == 200)


HOSTILE_PATHS = ["/" + "eyj" * 2600, "/" + "eyJ" * 2600, "/x?" + "%" * 7900, "/x?" + "&" * 7900, "/x?" + "a=&" * 2600]
HOSTILE_PATHS += ["/" + "%65" * 2600, "/x?" + "jw" * 3900, "/x?" + "&a" * 3900, "/x?" + "ey" * 3900]


def test_hostile_path_is_logged_within_five_milliseconds(start_gateway):
    gateway = start_gateway(RATE_LIMITS="off")
    processes = [psutil.Process(int(pid)) for pid in gateway.workers()]

    def processor_seconds():
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before = processor_seconds()
    for path in HOSTILE_PATHS * 10:
        assert gateway.call("GET", path).status in (400, 401)
    # About one millisecond each; an expression that backtracks takes 25 to 76.
    assert processor_seconds() - before < len(HOSTILE_PATHS) * 10 * 0.005


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"RATE_LIMITS": "yes"}, "RATE_LIMITS must be on or off"),
        ({"CORS_ORIGINS": "$http_origin"}, "CORS_ORIGINS must be comma-separated origins"),
        ({"CORS_ORIGINS": "https://a.example, https://b.example"}, "CORS_ORIGINS must be comma-separated origins"),
        ({"CORS_ORIGINS": "https://a.example/"}, "CORS_ORIGINS must be comma-separated origins"),
        ({"TRUSTED_PROXIES": "*"}, "TRUSTED_PROXIES must be comma-separated addresses"),
        ({"TLS_CERT": "/cert.pem"}, "TLS_KEY must name the key"),
        ({"TLS_KEY": "/key.pem"}, "TLS_CERT must name the certificate"),
        ({"METRICS_LISTEN": "127.0.0.1:9180"}, "SOCKETS_DIR must name the folder of the sockets"),
    ],
)
def test_invalid_setting_is_rejected_with_its_name(invalid, message):
    done = subprocess.run(
        ["sh", str(GATEWAY / "render.sh")],
        env={"SERVICES": "a", "NGINX": "true", "PATH": os.environ["PATH"], **invalid},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and message in done.stderr


def test_user_is_limited_to_four_concurrent_uploads(start_gateway):
    gateway = start_gateway(CLIENT_TIMEOUT="60s")
    paths = ["/acme_orders/api/v1/orders/import", "/source/ann/files/a", "/api/factories/load", "/api/factories/load/"]
    started = threading.Semaphore(0)
    for service in gateway.services.values():
        service.on_request = started.release
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(closing(slow_upload(gateway, "ann", path)))
        assert all(started.acquire(timeout=60) for _ in paths)
        for path in paths:
            response = gateway.call("PUT", path, "ann", body=b"x")
            assert (response.status, response.json()["status"], response.headers["Retry-After"]) == (429, 429, "1")
        assert gateway.call("PUT", paths[0], "root", body=b"x").status == 200  # another user is not affected
        assert gateway.call("POST", "/sequences/a/next", "ann", body=b"x").status == 200
        assert gateway.call("PUT", paths[0], "ann", "wrong", body=b"x").status == 401
    eventually(lambda: gateway.call("PUT", paths[0], "ann", body=b"x").status == 200)


def test_only_production_as_a_file_counts_as_an_upload(start_gateway):
    gateway = start_gateway(UPLOADS_PER_USER="1", CLIENT_TIMEOUT="60s")
    path, csv = "/api/factory/1/production", {"Content-Type": "text/csv; charset=utf-8"}
    started = threading.Semaphore(0)
    gateway.services["factory"].on_request = started.release
    with closing(slow_upload(gateway, "ann", "/api/factories/load")):
        assert started.acquire(timeout=60)
        assert gateway.call("POST", path, "ann", headers=csv, body=b"x").status == 429
        assert gateway.call("POST", path, "ann", headers={"Content-Type": "application/json"}, body=b"x").status == 200


def test_wrong_passwords_do_not_occupy_an_upload_slot(start_gateway):
    gateway = start_gateway(UPLOADS_PER_USER="1", CLIENT_TIMEOUT="5s")
    head = f"PUT /api/factories/load HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann', 'wrong')}\r\n"
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            client.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
        assert gateway.call("PUT", "/api/factories/load", "ann", body=b"x").status == 200


def test_user_is_limited_to_eight_concurrent_downloads(start_gateway):
    gateway = start_gateway()
    finished, started = threading.Event(), threading.Semaphore(0)

    def send_slowly(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x")
        request.close_connection = True
        started.release()
        finished.wait(60)

    for name in ("orders", "specstore", "factory"):
        gateway.services[name].handler = send_slowly
    paths = ["/acme_orders/api/v1/orders/import/1/errors.csv", "/acme_orders/api/v1/orders.csv"]
    paths += ["/source/a/b/1/data/x.csv", "/api/factory/1/chart-data.csv/"]
    with ThreadPoolExecutor(8) as pool:
        downloads = [pool.submit(gateway.call, "GET", path, "ann") for path in paths * 2]
        assert all(started.acquire(timeout=60) for _ in downloads)
        try:
            private = "/console/datasets/a/b/1/data/x.csv"
            assert {gateway.call("GET", path, "ann").status for path in [*paths, private]} == {429}
            assert gateway.call("GET", "/sequences", "ann").status == 200
            for name in ("orders", "specstore", "factory"):
                gateway.services[name].handler = None
            assert {gateway.call("GET", path, "root").status for path in paths} == {200}
        finally:
            finished.set()
        assert {download.result().status for download in downloads} == {200}


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ("", "203.0.113.7", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.0/8,10.0.0.0/8", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8,10.0.0.0/8", "203.0.113.7, 198.51.100.9, 10.1.2.3", "198.51.100.9"),
    ],
)
def test_client_address_is_read_from_trusted_proxies_only(start_gateway, trusted, forwarded, client):
    gateway = start_gateway(TRUSTED_PROXIES=trusted)
    response = gateway.call("GET", "/sequences", "ann", headers={"X-Forwarded-For": forwarded})
    assert ["x-forwarded-for", client] in response.json()["headers"]
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["client"] == client
