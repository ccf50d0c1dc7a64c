"""How much, how fast, how slow."""

import os
import re
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
def strict(new_gateway):
    return new_gateway(RATE_LIMIT_ADMIN="5000", RATE_LIMIT_WRITER="1", RATE_LIMIT_READER="1", RATE_BURST="5")


def statuses(gateway, count, *who, path="/sequences", **more):
    return [gateway.call("GET", path, *who, **more).status for _ in range(count)]


def test_too_many_requests_return_429(strict):
    assert statuses(strict, 6, "ann") == [200] * 6
    answer = strict.call("GET", "/sequences", "ann")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert (answer.headers["Content-Type"], answer.json()["title"]) == (
        "application/problem+json",
        "Too Many Requests",
    )
    assert 429 in statuses(strict, 2, "ann", path="/")  # pages count too
    assert statuses(strict, 6, "rita") == [200] * 6  # each user has a quota
    assert statuses(strict, 2, "rita").count(429) >= 1
    assert statuses(strict, 30, "root").count(200) > 20  # each role has a rate


def test_requests_without_a_known_user_count_by_address(strict):
    assert set(statuses(strict, 8, address="127.0.0.3")) == {401, 429}
    made_up = [strict.call("GET", "/sequences", f"user{n}", "x", address="127.0.0.4").status for n in range(8)]
    assert set(made_up) == {401, 429}


def test_limits_can_be_switched_off(new_gateway):
    gateway = new_gateway(RATE_LIMITS="off", RATE_LIMIT_WRITER="1", RATE_BURST="1")
    assert statuses(gateway, 50, "ann") == [200] * 50


def test_the_usual_limit_takes_a_burst_of_a_thousand_at_once(new_gateway):
    gateway = new_gateway()
    gateway.call("GET", "/style.css", "ann")
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: gateway.call("GET", "/style.css", "ann").status, range(900)))
    assert got == [200] * 900


@pytest.mark.parametrize(
    "sent",
    [
        "GET /sequences HTTP/1.1\r\nHost: x\r\n",
        "POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 100\r\n\r\n{{",
    ],
)
def test_slow_client_is_cut_off(gateway, sent):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        began = time.monotonic()
        client.sendall(sent.format(gateway.basic("ann")).encode())
        client.recv(65536)
        assert 1.5 < time.monotonic() - began < 8  # CLIENT_TIMEOUT is 2 s here
    assert gateway.services["sequence"].seen == []


def test_slow_headers_do_not_extend_the_time(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.settimeout(0.3)
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\n")
        while time.monotonic() - began < 12:
            try:
                client.sendall(b"a")
                if not client.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 8


def test_idle_connections_do_no_harm(gateway):
    idle = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(800)]
    try:
        began = time.monotonic()
        assert gateway.call("GET", "/sequences", "ann").status == 200
        assert time.monotonic() - began < 3
    finally:
        for connection in idle:
            connection.close()


SETTINGS = [
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
def settings(new_gateway):
    """The whole configuration as nginx reads it, without comments."""
    gateway = new_gateway()
    dump = subprocess.run([*gateway.nginx, "-T"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"(^|\s)#.*", "", dump)


@pytest.mark.parametrize("setting", SETTINGS)
def test_setting(settings, setting):
    assert re.search(rf"^\s*{re.escape(setting)}", settings, re.MULTILINE)


def test_every_service_has_its_upstream_and_pages(settings):
    services = re.search(r"openapi/\(\?<document>([a-z|]+)\)", settings)[1].split("|")
    assert services == sorted(services, key=services.index) and len(services) == 5
    for service in services:
        assert f"upstream {service}-web " in settings
        assert f"set $upstream {service}-web;" in settings
        assert f"{service}-service" in (GATEWAY / "pages" / "index.html").read_text()
        assert f"<option>{service}-service</option>" in (GATEWAY / "pages" / "docs" / "index.html").read_text()


def test_every_variable_is_in_the_readme():
    template = set(re.findall(r"\$\{([A-Z_]+)\}", (GATEWAY / "nginx.conf.template").read_text()))
    script = (GATEWAY / "render.sh").read_text()
    settable = set(re.findall(r'^: "\$\{([A-Z_]+):=', script, re.MULTILINE))
    given = set(re.findall(r"^([A-Z_]+)=\$\{\1:-", script, re.MULTILINE))
    computed = set(re.findall(r"^([A-Z_]+)=(?!\$\{\1:-)", script, re.MULTILINE)) | {"UPSTREAM_PORT"}
    assert template <= settable | given | computed
    table = set(re.findall(r"^\| `([A-Z_]+)`", (GATEWAY / "README.md").read_text(), re.MULTILINE))
    assert table == settable | given | {"SERVICES"}


def slow_upload(gateway, user, path="/acme_orders/api/v1/orders/import"):
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic(user)}\r\nContent-Length: 1000\r\n\r\n"
    client.sendall(head.encode() + b"x")
    return client


def test_one_user_cannot_hold_all_connections(new_gateway):
    gateway = new_gateway(RATE_LIMITS="off")
    head = f"POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n"
    with ExitStack() as stack:
        for _ in range(500):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
            client.sendall(f"{head}Content-Length: 1000000\r\n\r\nx".encode())
        eventually(lambda: gateway.call("GET", "/sequences", "ann").status == 429)
        assert gateway.call("GET", "/sequences", "root").status == 200
    eventually(lambda: gateway.call("GET", "/sequences", "ann").status == 200)


HOSTILE = ["/" + "eyj" * 2600, "/" + "eyJ" * 2600, "/x?" + "%" * 7900, "/x?" + "&" * 7900, "/x?" + "a=&" * 2600]
HOSTILE += ["/" + "%65" * 2600, "/x?" + "jw" * 3900, "/x?" + "&a" * 3900, "/x?" + "ey" * 3900]


def test_no_path_is_expensive_to_log(new_gateway):
    gateway = new_gateway(RATE_LIMITS="off")
    processes = [psutil.Process(int(pid)) for pid in gateway.workers()]

    def processor_seconds():
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before = processor_seconds()
    for path in HOSTILE * 10:
        assert gateway.call("GET", path).status in (400, 401)
    # A millisecond each, where an expression that backtracks takes 25 to 76.
    assert processor_seconds() - before < len(HOSTILE) * 10 * 0.005


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"RATE_LIMITS": "yes"}, "RATE_LIMITS must be on or off"),
        ({"CORS_ORIGINS": "$http_origin"}, "CORS_ORIGINS must be origins"),
        ({"CORS_ORIGINS": "https://a.example, https://b.example"}, "CORS_ORIGINS must be origins"),
        ({"CORS_ORIGINS": "https://a.example/"}, "CORS_ORIGINS must be origins"),
        ({"TRUSTED_PROXIES": "*"}, "TRUSTED_PROXIES must be addresses"),
        ({"TLS_CERT": "/cert.pem"}, "TLS_KEY must name the key"),
        ({"TLS_KEY": "/key.pem"}, "TLS_CERT must name the certificate"),
    ],
)
def test_wrong_setting_is_refused_with_its_name(wrong, message):
    done = subprocess.run(
        ["sh", str(GATEWAY / "render.sh")],
        env={"SERVICES": "a", "NGINX": "true", "PATH": os.environ["PATH"], **wrong},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and message in done.stderr


def test_one_user_has_four_uploads_at_a_time(new_gateway):
    gateway = new_gateway()
    paths = ["/acme_orders/api/v1/orders/import", "/source/ann/files/a", "/api/factories/load", "/api/factories/load/"]
    begun = threading.Semaphore(0)
    for service in gateway.services.values():
        service.begun = begun.release
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(closing(slow_upload(gateway, "ann", path)))
        assert all(begun.acquire(timeout=10) for _ in paths)
        for path in paths:
            answer = gateway.call("PUT", path, "ann", body=b"x")
            assert (answer.status, answer.json()["status"], answer.headers["Retry-After"]) == (429, 429, "1")
        assert gateway.call("PUT", paths[0], "root", body=b"x").status == 200  # another user is not affected
        assert gateway.call("POST", "/sequences/a/next", "ann", body=b"x").status == 200
        assert gateway.call("PUT", paths[0], "ann", "wrong", body=b"x").status == 401
    eventually(lambda: gateway.call("PUT", paths[0], "ann", body=b"x").status == 200)


def test_somebody_elses_wrong_passwords_take_no_upload_slot(new_gateway):
    gateway = new_gateway(UPLOADS_PER_USER="1", CLIENT_TIMEOUT="5s")
    head = f"PUT /api/factories/load HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann', 'wrong')}\r\n"
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            client.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
        assert gateway.call("PUT", "/api/factories/load", "ann", body=b"x").status == 200


def test_one_user_has_eight_streamed_downloads_at_a_time(new_gateway):
    gateway = new_gateway()
    over, begun = threading.Event(), threading.Semaphore(0)

    def endless(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x")
        request.close_connection = True
        begun.release()
        over.wait(30)

    for name in ("orders", "specstore"):
        gateway.services[name].behave = endless
    paths = ["/acme_orders/api/v1/orders/import/1/errors.csv", "/acme_orders/api/v1/orders.csv"]
    paths += ["/source/a/b/1/data/x.csv"] * 2
    with ThreadPoolExecutor(8) as pool:
        downloads = [pool.submit(gateway.call, "GET", path, "ann") for path in paths * 2]
        assert all(begun.acquire(timeout=10) for _ in downloads)
        try:
            assert {gateway.call("GET", path, "ann").status for path in paths} == {429}
            assert gateway.call("GET", "/sequences", "ann").status == 200
            for name in ("orders", "specstore"):
                gateway.services[name].behave = None
            assert {gateway.call("GET", path, "root").status for path in paths} == {200}
        finally:
            over.set()
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
def test_client_address_comes_from_trusted_proxies_only(new_gateway, trusted, forwarded, client):
    gateway = new_gateway(TRUSTED_PROXIES=trusted)
    answer = gateway.call("GET", "/sequences", "ann", headers={"X-Forwarded-For": forwarded})
    assert ["x-forwarded-for", client] in answer.json()["headers"]
    assert gateway.log(answer.headers["X-Request-ID"])["client"] == client


def test_every_request_is_one_line_of_json_in_the_log(gateway):
    answer = gateway.call("GET", '/sequences?a="\\', "ann", headers={"User-Agent": 'a "quoted" agent\t'})
    line = gateway.log(answer.headers["X-Request-ID"])
    assert (line["user"], line["status"], line["method"], line["uri"]) == (
        "ann",
        200,
        "GET",
        '/sequences?a="\\',
    )
    assert (
        line["user_agent"].startswith('a "quoted" agent')
        and line["upstream"].endswith("sequence.sock")
        and line["seconds"] >= 0
    )


@pytest.mark.parametrize("agent", [b"\xff agent", b"agent \xc3\xa4 \xff", b'"\x80'])
def test_log_is_valid_whatever_bytes_are_sent(gateway, agent):
    answer = gateway.call("GET", "/sequences", "ann", headers={"User-Agent": agent})
    assert gateway.log(answer.headers["X-Request-ID"])["user_agent"].isascii()
    request_id = f"bytes-{agent.hex()}"
    head = f"X-Request-ID: {request_id}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    gateway.raw(b"GET /sequences/\xff\xfe HTTP/1.1\r\n" + head)
    assert gateway.log(request_id)["uri"] == "/sequences/..."


def test_the_log_names_the_method_that_was_sent_also_beside_an_error_of_the_gateway(gateway):
    answer = gateway.call("PATCH", "/nothing", "ann")
    line = gateway.log(answer.headers["X-Request-ID"])
    assert (answer.status, line["status"], line["method"]) == (404, 404, "PATCH")
