"""A proxy to Postgres that loses the connection at a chosen statement."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class PostgresProxy:
    """Forwards connections to the Postgres at `url`; a context manager, whose own address is `self.url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{user}@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self._statement, self._is_executed = b"", False
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_connection_at(self, statement: bytes, *, is_executed: bool) -> None:
        """Close the next connection on which data with `statement` is sent.

        With `is_executed` Postgres receives the statement and completes it, but its response is lost.
        """
        self._statement, self._is_executed = statement, is_executed

    @property
    def is_armed(self) -> bool:
        """Whether the connection that shall be lost has not been lost yet."""
        return bool(self._statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (self._listener, *self._connections):
            _close(connection)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._connections += [client, server]
                threading.Thread(target=self._forward_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._forward_responses, args=(server, client), daemon=True).start()

    def _forward_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if not self._statement or self._statement not in data:
                    server.sendall(data)
                    continue
                self._statement = b""
                # No response arrives at the client from here on.
                client.shutdown(socket.SHUT_WR)
                if self._is_executed:
                    # Postgres executes the statement before it reads that the connection ends.
                    server.sendall(data)
                    server.shutdown(socket.SHUT_WR)
                    return
                break
        _close(server)

    def _forward_responses(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                with suppress(OSError):
                    client.sendall(data)
        _close(client)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
