"""How much, how fast, how slow."""

import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def strict(new_gateway):
    return new_gateway(RATE_LIMIT_ADMIN="5000", RATE_LIMIT_WRITER="1", RATE_LIMIT_READER="1", RATE_BURST="5")


def statuses(gateway, count, *who, path="/sequences"):
    return [gateway.call("GET", path, *who).status for _ in range(count)]


def test_too_many_requests(strict):
    assert statuses(strict, 6, "ann") == [200] * 6
    answer = strict.call("GET", "/sequences", "ann")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert (answer.headers["Content-Type"], answer.json()["title"]) == (
        "application/problem+json",
        "Too Many Requests",
    )
    assert 429 in statuses(strict, 2, "ann", path="/")  # pages count too
    assert statuses(strict, 6, "rita") == [200] * 6  # each on his own account
    assert statuses(strict, 2, "rita").count(429) >= 1
    assert statuses(strict, 30, "root").count(200) > 20  # each role at its own rate


def test_wrong_passwords_for_a_name_use_up_nothing_of_its_owner(strict):
    strict.users("add", "eve", PASSWORD="right")
    assert set(statuses(strict, 8, "eve", "wrong")) == {401, 429}
    assert statuses(strict, 5, "eve", "right") == [200] * 5


def test_without_credentials_the_address_counts(strict):
    assert set(statuses(strict, 8)) == {401, 429}


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
    "proxy_intercept_errors off;",
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


def test_waiting_reads_and_live_streams_have_65_seconds(settings):
    for place in ("live", "events"):
        location = re.search(
            rf"location ~ \^/api/v1/streams/\[\^/\]\+/{place}\$ \{{(.*?)\n        \}}", settings, re.DOTALL
        )[1]
        assert "proxy_read_timeout 65s;" in location
    assert "proxy_buffering off;" in re.search(r"/live\$ \{(.*?)\n        \}", settings, re.DOTALL)[1]


def test_every_service_stands_in_every_list(settings):
    services = re.search(r'geo \$services \{ default "(.*)"; \}', settings)[1].split()
    pages = Path(__file__).resolve().parents[1] / "pages"
    for service in services:
        assert f"upstream {service} " in settings
        assert f"~^/_ask/{service}/ " in settings
        assert f"location = /openapi/{service}-service.yaml " in settings
        assert f"{service}-service" in (pages / "index.html").read_text()
        assert f"<option>{service}-service</option>" in (pages / "docs.html").read_text()


def test_every_variable_is_in_the_readme(settings):
    folder = Path(__file__).resolve().parents[1]
    names = set(re.findall(r"\$\{([A-Z_]+)\}", (folder / "nginx.conf.template").read_text()))
    table = set(re.findall(r"^\| `([A-Z_]+)`", (folder / "README.md").read_text(), re.MULTILINE))
    dockerfile = set(re.findall(r"^\s+([A-Z_]+)=", (folder / "Dockerfile").read_text(), re.MULTILINE))
    assert names == table
    assert names <= dockerfile


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


def test_the_log_names_the_method_that_was_sent_also_beside_an_error_of_the_gateway(gateway):
    answer = gateway.call("PATCH", "/nothing", "ann")
    line = gateway.log(answer.headers["X-Request-ID"])
    assert (answer.status, line["status"], line["method"]) == (404, 404, "PATCH")
