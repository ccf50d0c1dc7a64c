"""A proxy whose connections break while responses are sent: the requests were processed, and the client cannot know."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit

# How many bytes of responses a connection forwards before it breaks; one after the other, then again.
_RESPONSE_BYTES = (0, 500, 0, 5_000, 100_000)


@contextmanager
def lossy_url(url: str) -> Iterator[str]:
    """Yield the URL of a proxy to `url` whose connections break."""
    parts = urlsplit(url)
    target, limits = (parts.hostname or "", parts.port or 80), cycle(_RESPONSE_BYTES)
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(target)
                connections.extend((client, server))
                for forward in ((client, server, None), (server, client, next(limits))):
                    threading.Thread(target=_forward, args=forward, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    user = parts.netloc.rpartition("@")[0]
    try:
        yield parts._replace(netloc=f"{user}@127.0.0.1:{listener.getsockname()[1]}").geturl()
    finally:
        for connection in (listener, *connections):
            _close(connection)


def _forward(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    count = 0
    with suppress(OSError):
        while data := source.recv(65536):
            count += len(data)
            if limit is not None and count > limit:
                break
            target.sendall(data)
    # Both directions end with this one.
    _close(source)
    _close(target)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
