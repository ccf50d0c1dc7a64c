"""Concurrent requests on plain sockets, so that one process can hold hundreds and time each response."""

import selectors
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from quintet_e2e.clients import Client

_BUFFER_BYTES = 65536
_RESPONSE_SECONDS = 40
_HALF_BODY = b"id|name|email|state|zipcode|birthday\n" * 10_000


@dataclass
class PendingRequest:
    """A request in progress: `responded_at` is the time of the first byte of its response, `text` is the response."""

    socket: socket.socket
    responded_at: float | None = None
    text: str = ""


@contextmanager
def pending_requests(client: Client, path: str, headers_list: list[dict[str, str]]) -> Iterator[list[PendingRequest]]:
    """Send one GET per set of headers; all connections are closed when the block ends."""
    with ExitStack() as connections:
        requests = [_send_request(client, path, headers) for headers in headers_list]
        for request in requests:
            connections.callback(request.socket.close)
        yield requests


@contextmanager
def unfinished_uploads(client: Client, path: str, count: int, **headers: str) -> Iterator[list[PendingRequest]]:
    """Send half of each body, alternately with a Content-Length and in chunks; close the connections after the block.

    Names in `headers` contain `_` instead of `-`.
    """
    extra_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    framings = [({"Content-Length": str(2 * len(_HALF_BODY))}, _HALF_BODY)]
    framings.append(({"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n" % (len(_HALF_BODY), _HALF_BODY)))
    with ExitStack() as connections:
        requests = []
        for number in range(count):
            framing, body = framings[number % 2]
            all_headers = {"Content-Type": "text/csv", **framing, **extra_headers}
            requests.append(_send_request(client, path, all_headers, method="PUT"))
            connections.callback(requests[-1].socket.close)
            requests[-1].socket.sendall(body)
        yield requests


def _send_request(client: Client, path: str, headers: dict[str, str], method: str = "GET") -> PendingRequest:
    address = urlsplit(client.stack.url)
    lines = {
        "Host": address.netloc,
        "Authorization": "Basic " + b64encode(":".join(client.credentials).encode()).decode(),
        "X-Request-ID": client.request_id(),
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
    return PendingRequest(connection)


def send_raw(client: Client, method: str, path: str, headers: dict[str, str], body: bytes) -> int | None:
    """Send any bytes as a body and return the status, or None if the connection is closed without a response."""
    request = _send_request(client, path, headers, method)
    with request.socket:
        request.socket.settimeout(_RESPONSE_SECONDS)
        try:
            request.socket.sendall(body)
            head = request.socket.recv(_BUFFER_BYTES).decode()
        except ConnectionError:
            return None
    return int(head.split(" ")[1]) if head else None


def read_responses(requests: list[PendingRequest], within_seconds: float) -> None:
    """Read until every response is complete or the time has elapsed."""
    deadline = time.monotonic() + within_seconds
    with selectors.DefaultSelector() as selector:
        for request in requests:
            selector.register(request.socket, selectors.EVENT_READ, request)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(timeout=0.1):
                request = key.data
                request.responded_at = request.responded_at or time.monotonic()
                received = request.socket.recv(_BUFFER_BYTES)
                request.text += received.decode()
                if not received:
                    selector.unregister(request.socket)
