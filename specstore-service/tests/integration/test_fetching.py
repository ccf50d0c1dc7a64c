"""Sources are fetched from real servers on loopback addresses, which only a configured network makes reachable."""

import gzip
import socket
import threading
import time

import pytest

from specstore_service.clients import addresses, fetching
from specstore_service.clients.fetching import FetchError, Limits, fetch

# A fetch uses the timer signal of the process, which the default method would use, too.
pytestmark = pytest.mark.timeout(method="thread")

LOOPBACK = addresses.parse_networks("127.0.0.1/32")


@pytest.fixture
def fetch_bytes(tmp_path, monkeypatch):
    def fetch_bytes(url, max_bytes=10_000_000, max_seconds=60, allowed=LOOPBACK, retry_seconds=(), **options):
        monkeypatch.setattr(fetching, "_RETRY_SECONDS", retry_seconds)
        fetch(url, tmp_path / "data", Limits(max_bytes, max_seconds, allowed, **options))
        return (tmp_path / "data").read_bytes()

    return fetch_bytes


def test_body_of_a_url_is_fetched(server, fetch_bytes):
    assert fetch_bytes(server.serve("/a%20b?x=1", b"id\n1\n")) == b"id\n1\n"
    assert fetch_bytes(f"{server.url}/a b?x=1#part") == b"id\n1\n"


def test_credentials_and_proxies_are_ignored(server, fetch_bytes, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    path = f"/{time.monotonic()}"
    server.serve(path, b"x")
    assert fetch_bytes(f"http://user:secret@127.0.0.1:{server.port}{path}") == b"x"
    (headers,) = [headers for requested_path, headers in server.requests if requested_path == path]
    assert "Authorization" not in headers and "secret" not in str(headers)


SERVER_HOSTS = [
    "127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]", "[64:ff9b::127.0.0.1]",
]  # fmt: skip
OTHER_NON_PUBLIC_HOSTS = [
    "127.0.0.2", "0.0.0.0", "0", "[::]", "[::1]", "[::127.0.0.1]", "[64:ff9b:1::127.0.0.1]",
    "[64:ff9b:1:7f00:0:100::]", "[2002:7f00:1::1]", "[2001::1]", "[fec0::1]", "[fd00::1]", "[fe80::1]", "[ff02::1]",
    "[::ffff:0:10.0.0.1]", "169.254.169.254", "2852039166", "10.0.0.1", "167772161", "100.64.0.1", "224.0.0.1",
    "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("host", SERVER_HOSTS + OTHER_NON_PUBLIC_HOSTS)
def test_non_public_address_is_rejected(server, fetch_bytes, host):
    server.serve("/secret", b"x")
    request_count = len(server.requests)
    with pytest.raises(FetchError, match="no address"):
        fetch_bytes(f"http://{host}:{server.port}/secret", allowed=())
    assert len(server.requests) == request_count


@pytest.mark.parametrize("host", OTHER_NON_PUBLIC_HOSTS)
def test_redirect_to_another_non_public_address_is_rejected(server, fetch_bytes, host):
    """Allowing the address of the server allows no other address."""
    server.serve("/secret", b"x")
    url = server.serve("/away", status=302, Location=f"http://{host}:{server.port}/secret")
    request_count = len(server.requests)
    with pytest.raises(FetchError, match="no address"):
        fetch_bytes(url)
    assert len(server.requests) == request_count + 1


@pytest.mark.parametrize("address", ["::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "::7f00:1", "fec0::1"])
def test_name_resolving_to_an_embedded_private_address_is_rejected(server, fetch_bytes, address):
    with pytest.raises(FetchError, match="no address"):
        fetch_bytes(f"http://name.test:{server.port}/", allowed=(), resolver=lambda _host, _port: [address])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/x"])
def test_redirect_to_another_scheme_is_rejected(server, fetch_bytes, url):
    with pytest.raises(FetchError, match="not http or https"):
        fetch_bytes(server.serve("/elsewhere", status=301, Location=url))


def test_at_most_five_redirects_are_followed(server, fetch_bytes):
    for number in range(6):
        server.serve(f"/r{number}", status=307, Location=f"r{number + 1}")
    server.serve("/r6", b"there")
    assert fetch_bytes(f"{server.url}/r1") == b"there"
    with pytest.raises(FetchError, match="redirected more than 5"):
        fetch_bytes(f"{server.url}/r0")


def test_redirect_is_rejected_when_the_name_resolves_to_another_address(server, fetch_bytes):
    """The connection uses the address that was checked, and each redirect resolves the name again."""
    resolved_addresses = iter([["127.0.0.1"], ["127.0.0.2"]])
    server.serve("/rebound", status=302, Location="/rebound")
    with pytest.raises(FetchError, match="no address"):
        fetch_bytes(
            f"http://rebinding.test:{server.port}/rebound", resolver=lambda _host, _port: next(resolved_addresses)
        )
    assert next(resolved_addresses, None) is None


def test_only_allowed_addresses_of_a_name_are_tried(server, fetch_bytes):
    server.serve("/mixed", b"x")
    mixed = ["10.255.255.1", "::1", "127.0.0.1"]
    assert fetch_bytes(f"http://mixed.test:{server.port}/mixed", resolver=lambda _host, _port: mixed) == b"x"


def test_endless_body_is_cut_off_at_the_maximum_size(server, fetch_bytes):
    def endless():
        while True:
            yield b"x" * 65536

    with pytest.raises(FetchError, match="larger than 1000000 bytes"):
        fetch_bytes(server.stream("/endless", endless), max_bytes=1_000_000)


def test_declared_length_above_the_maximum_is_rejected_without_reading(server, fetch_bytes):
    url = server.serve("/large", b"x", Content_Length="99999999")
    with pytest.raises(FetchError, match="larger"):
        fetch_bytes(url, max_bytes=1000)


def test_slow_body_is_cut_off_at_the_timeout(server, fetch_bytes):
    stop = threading.Event()

    def drip():
        while not stop.wait(0.1):
            yield b"x"

    with pytest.raises(FetchError, match="longer than 1 s"):
        fetch_bytes(server.stream("/drip", drip), max_seconds=1)
    stop.set()


def test_slow_headers_are_cut_off_at_the_timeout(fetch_bytes):
    """Send not even a complete status line, so that no limit on a single read applies."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip():
            accepted, _ = listener.accept()
            with accepted:
                while not stop.wait(0.1):
                    try:
                        accepted.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(FetchError, match="longer than 1 s"):
            fetch_bytes(f"http://127.0.0.1:{listener.getsockname()[1]}/", max_seconds=1)
        stop.set()
        thread.join()


def test_gzip_is_decompressed_up_to_the_maximum_size(server, fetch_bytes):
    compressed = gzip.compress(b"a,b\n" * 1000)
    assert fetch_bytes(server.serve("/gz", compressed, Content_Encoding="gzip")) == b"a,b\n" * 1000
    assert fetch_bytes(server.serve("/gz2", compressed + compressed, Content_Encoding="gzip")) == b"a,b\n" * 2000
    bomb = gzip.compress(b"\0" * 30_000_000)
    assert len(bomb) < 40_000
    with pytest.raises(FetchError, match="larger than 1000000 bytes"):
        fetch_bytes(server.serve("/bomb", bomb, Content_Encoding="gzip"), max_bytes=1_000_000)
    with pytest.raises(FetchError, match="not valid gzip"):
        fetch_bytes(server.serve("/nogz", b"plain", Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="truncated gzip"):
        fetch_bytes(server.serve("/cut", compressed[:-10], Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="'br'"):
        fetch_bytes(server.serve("/br", b"x", Content_Encoding="br"))


def test_truncated_body_is_rejected(server, fetch_bytes):
    with pytest.raises(FetchError, match="too early"):
        fetch_bytes(server.serve("/short", b"x" * 10, Content_Length="20"))


@pytest.mark.parametrize(
    ("status", "is_temporary"), [(404, False), (403, False), (500, True), (503, True), (204, False)]
)
def test_error_status_is_reported_and_only_server_errors_are_temporary(server, fetch_bytes, status, is_temporary):
    with pytest.raises(FetchError, match=f"returned status {status}") as caught:
        fetch_bytes(server.serve("/error", b"", status=status))
    assert caught.value.is_temporary is is_temporary


@pytest.fixture
def serve_responses(server):
    """Return the URL of a source that sends one response after another, and a function that counts the requests."""

    def serve_responses(*statuses):
        path = f"/{time.monotonic_ns()}"
        responses = [(status, b"x") for status in statuses]

        def respond(handler):
            status, body = responses.pop(0)
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        server.handlers[path] = respond
        return f"{server.url}{path}", lambda: [requested for requested, _ in server.requests].count(path)

    return serve_responses


@pytest.mark.parametrize(
    ("statuses", "request_count"), [((200,), 1), ((503, 500, 200), 3), ((500, 502, 503, 200), 3), ((404, 200), 1)]
)
def test_temporary_error_is_followed_by_up_to_two_retries(serve_responses, fetch_bytes, statuses, request_count):
    url, count_requests = serve_responses(*statuses)
    if statuses[request_count - 1] == 200:
        assert fetch_bytes(url, retry_seconds=(0.01, 0.01)) == b"x"
    else:
        with pytest.raises(FetchError, match=f"returned status {statuses[request_count - 1]}"):
            fetch_bytes(url, retry_seconds=(0.01, 0.01))
    assert count_requests() == request_count


def test_time_limit_includes_the_retries(serve_responses, fetch_bytes):
    url, count_requests = serve_responses(503, 200)
    with pytest.raises(FetchError, match="longer than 1 s"):
        fetch_bytes(url, max_seconds=1, retry_seconds=(300,))
    assert count_requests() == 1


def test_refused_connection_is_a_temporary_error(fetch_bytes):
    with socket.create_server(("127.0.0.1", 0)) as closed_socket:
        port = closed_socket.getsockname()[1]
    with pytest.raises(FetchError, match="refused the connection") as caught:
        fetch_bytes(f"http://127.0.0.1:{port}/")
    assert caught.value.is_temporary


def test_fetch_over_https_from_a_server_without_tls_fails(server, fetch_bytes):
    with pytest.raises(FetchError, match="TLS failed"):
        fetch_bytes(f"https://127.0.0.1:{server.port}/a")


def test_decompression_yields_bounded_chunks():
    bomb = gzip.compress(b"\0" * 5_000_000)
    assert max(len(chunk) for chunk in fetching.gunzip(iter([bomb]))) <= 256 * 1024
