"""Many requests that wait at once, at no cost of their own: sockets and the moments their answers came."""

import selectors
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from quintet_e2e.clients import Client

_ENOUGH_BYTES = 65536
_ANSWERED_WITHIN = 40
_HALF = b"id|name|email|state|zipcode|birthday\n" * 10_000


@dataclass
class Waiting:
    """One GET under way; `answered` is when its answer began, `text` all of it."""

    socket: socket.socket
    answered: float | None = None
    text: str = ""


@contextmanager
def waiting(client: Client, path: str, several: list[dict[str, str]]) -> Iterator[list[Waiting]]:
    """One request for each of the headers; all are over when the block is left."""
    with ExitStack() as closing:
        requests = [_ask(client, path, headers) for headers in several]
        for each in requests:
            closing.callback(each.socket.close)
        yield requests


@contextmanager
def unfinished_uploads(client: Client, path: str, count: int, **more: str) -> Iterator[list[Waiting]]:
    """So many that send half of what they announce, by length or in chunks; cut off when the block is left.

    `more` are headers, with `_` for `-`.
    """
    given = {name.replace("_", "-"): value for name, value in more.items()}
    kinds = [({"Content-Length": str(2 * len(_HALF))}, _HALF)]
    kinds.append(({"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n" % (len(_HALF), _HALF)))
    with ExitStack() as closing:
        requests = []
        for number in range(count):
            headers, body = kinds[number % 2]
            requests.append(_ask(client, path, {"Content-Type": "text/csv", **headers, **given}, method="PUT"))
            closing.callback(requests[-1].socket.close)
            requests[-1].socket.sendall(body)
        yield requests


def _ask(client: Client, path: str, headers: dict[str, str], method: str = "GET") -> Waiting:
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
    return Waiting(connection)


def exchange(client: Client, method: str, path: str, headers: dict[str, str], body: bytes) -> int | None:
    """Any bytes as a body; the status that is answered, None where the connection is cut instead."""
    asked = _ask(client, path, headers, method)
    with asked.socket:
        asked.socket.settimeout(_ANSWERED_WITHIN)
        try:
            asked.socket.sendall(body)
            head = asked.socket.recv(_ENOUGH_BYTES).decode()
        except ConnectionError:
            return None
    return int(head.split(" ")[1]) if head else None


def collect(several: list[Waiting], within_seconds: float) -> None:
    """Until each has its whole answer or the time is up."""
    ends = time.monotonic() + within_seconds
    with selectors.DefaultSelector() as selector:
        for each in several:
            selector.register(each.socket, selectors.EVENT_READ, each)
        while selector.get_map() and time.monotonic() < ends:
            for key, _ in selector.select(timeout=0.1):
                each = key.data
                each.answered = each.answered or time.monotonic()
                received = each.socket.recv(_ENOUGH_BYTES)
                each.text += received.decode()
                if not received:
                    selector.unregister(each.socket)
