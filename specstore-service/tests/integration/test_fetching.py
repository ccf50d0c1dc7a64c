"""Data from real small servers on loopback, which only a configured network makes reachable."""

import gzip
import socket
import threading
import time

import pytest

from specstore_service.clients import addresses, fetching
from specstore_service.clients.fetching import FetchError, Limits, fetch

# A fetch has the process's timer to itself.
pytestmark = pytest.mark.timeout(method="thread")

LOOPBACK = addresses.networks("127.0.0.1/32")


@pytest.fixture
def got(tmp_path):
    def got(url, size=10_000_000, seconds=60, allowed=LOOPBACK, **more):
        fetch(url, tmp_path / "data", Limits(size, seconds, allowed, **more))
        return (tmp_path / "data").read_bytes()

    return got


def test_what_is_there_is_fetched(server, got):
    assert got(server.says("/a%20b?x=1", b"id\n1\n")) == b"id\n1\n"
    assert got(f"{server.url}/a b?x=1#part") == b"id\n1\n"


def test_no_credential_and_no_proxy_is_used(server, got, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    path = f"/{time.monotonic()}"
    server.says(path, b"x")
    assert got(f"http://user:secret@127.0.0.1:{server.port}{path}") == b"x"
    (headers,) = [headers for asked, headers in server.asked if asked == path]
    assert "Authorization" not in headers and "secret" not in str(headers)


THE_SERVER = [
    "127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]", "[64:ff9b::127.0.0.1]",
]  # fmt: skip
ELSEWHERE = [
    "127.0.0.2", "0.0.0.0", "0", "[::]", "[::1]", "[::127.0.0.1]", "[64:ff9b:1::127.0.0.1]",
    "[64:ff9b:1:7f00:0:100::]", "[2002:7f00:1::1]", "[2001::1]", "[fec0::1]", "[fd00::1]", "[fe80::1]", "[ff02::1]",
    "[::ffff:0:10.0.0.1]", "169.254.169.254", "2852039166", "10.0.0.1", "167772161", "100.64.0.1", "224.0.0.1",
    "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("host", THE_SERVER + ELSEWHERE)
def test_what_is_not_public_is_refused(server, got, host):
    server.says("/secret", b"x")
    before = len(server.asked)
    with pytest.raises(FetchError, match="no address"):
        got(f"http://{host}:{server.port}/secret", allowed=())
    assert len(server.asked) == before


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_redirect_to_another_address_that_is_not_public_is_refused(server, got, host):
    """That the address of the server itself is allowed allows no other one."""
    server.says("/secret", b"x")
    url = server.says("/away", status=302, Location=f"http://{host}:{server.port}/secret")
    before = len(server.asked)
    with pytest.raises(FetchError, match="no address"):
        got(url)
    assert len(server.asked) == before + 1


@pytest.mark.parametrize("address", ["::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "::7f00:1", "fec0::1"])
def test_a_name_that_leads_to_another_form_of_a_private_address_is_refused(server, got, address):
    with pytest.raises(FetchError, match="no address"):
        got(f"http://name.test:{server.port}/", allowed=(), look_up=lambda _host, _port: [address])


@pytest.mark.parametrize("place", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/x"])
def test_a_redirect_to_another_scheme_is_refused(server, got, place):
    with pytest.raises(FetchError, match="no http or https URL"):
        got(server.says("/elsewhere", status=301, Location=place))


def test_five_redirects_are_followed_and_no_more(server, got):
    for number in range(6):
        server.says(f"/r{number}", status=307, Location=f"r{number + 1}")
    server.says("/r6", b"there")
    assert got(f"{server.url}/r1") == b"there"
    with pytest.raises(FetchError, match="redirected more than 5"):
        got(f"{server.url}/r0")


def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(server, got):
    """The address that is connected to is the one that was checked; each redirect asks anew."""
    replies = iter([["127.0.0.1"], ["127.0.0.2"]])
    server.says("/rebound", status=302, Location="/rebound")
    with pytest.raises(FetchError, match="no address"):
        got(f"http://rebinding.test:{server.port}/rebound", look_up=lambda _host, _port: next(replies))
    assert next(replies, None) is None


def test_of_several_addresses_only_public_ones_are_tried(server, got):
    server.says("/mixed", b"x")
    mixed = ["10.255.255.1", "::1", "127.0.0.1"]
    assert got(f"http://mixed.test:{server.port}/mixed", look_up=lambda _host, _port: mixed) == b"x"


def test_an_endless_body_ends_at_the_largest_size(server, got):
    def endless():
        while True:
            yield b"x" * 65536

    with pytest.raises(FetchError, match="larger than 1000000 bytes"):
        got(server.streams("/endless", endless), size=1_000_000)


def test_what_says_to_be_too_large_is_not_read(server, got):
    url = server.says("/large", b"x", Content_Length="99999999")
    with pytest.raises(FetchError, match="larger"):
        got(url, size=1000)


def test_a_slow_drip_ends_in_time(server, got):
    stop = threading.Event()

    def drip():
        while not stop.wait(0.1):
            yield b"x"

    began = time.monotonic()
    with pytest.raises(FetchError, match="longer than 1 s"):
        got(server.streams("/drip", drip), seconds=1)
    assert time.monotonic() - began < 25
    stop.set()


def test_headers_that_drip_end_in_time(got):
    """Not even the first line comes: nothing that bounds a single read would help."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip():
            accepted, _ = listening.accept()
            with accepted:
                while not stop.wait(0.1):
                    try:
                        accepted.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(FetchError, match="longer than 1 s"):
            got(f"http://127.0.0.1:{listening.getsockname()[1]}/", seconds=1)
        stop.set()
        thread.join()


def test_gzip_is_unpacked_within_bounds(server, got):
    packed = gzip.compress(b"a,b\n" * 1000)
    assert got(server.says("/gz", packed, Content_Encoding="gzip")) == b"a,b\n" * 1000
    assert got(server.says("/gz2", packed + packed, Content_Encoding="gzip")) == b"a,b\n" * 2000
    bomb = gzip.compress(b"\0" * 30_000_000)
    assert len(bomb) < 40_000
    with pytest.raises(FetchError, match="larger than 1000000 bytes"):
        got(server.says("/bomb", bomb, Content_Encoding="gzip"), size=1_000_000)
    with pytest.raises(FetchError, match="not the gzip"):
        got(server.says("/nogz", b"plain", Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="in the middle"):
        got(server.says("/cut", packed[:-10], Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="'br'"):
        got(server.says("/br", b"x", Content_Encoding="br"))


def test_what_ends_too_early_is_not_taken_for_whole(server, got):
    with pytest.raises(FetchError, match="too early"):
        got(server.says("/short", b"x" * 10, Content_Length="20"))


@pytest.mark.parametrize(
    ("status", "is_temporary"), [(404, False), (403, False), (500, True), (503, True), (204, False)]
)
def test_an_error_is_told_by_its_number(server, got, status, is_temporary):
    with pytest.raises(FetchError, match=f"answers {status}") as problem:
        got(server.says("/error", b"", status=status))
    assert problem.value.is_temporary is is_temporary


def test_nobody_there_is_temporary(got):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match="refuses connections") as problem:
        got(f"http://127.0.0.1:{port}/")
    assert problem.value.is_temporary


def test_tls_is_checked(server, got):
    with pytest.raises(FetchError, match="TLS failed"):
        got(f"https://127.0.0.1:{server.port}/a")


def test_the_reader_never_holds_more_than_a_piece():
    bomb = gzip.compress(b"\0" * 5_000_000)
    assert max(len(piece) for piece in fetching.gunzipped(iter([bomb]))) <= 256 * 1024
