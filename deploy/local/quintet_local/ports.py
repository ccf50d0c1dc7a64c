"""Choice of loopback ports, which are stored in the stack's folder, and a readiness probe for Unix sockets."""

import json
import random
import socket
from pathlib import Path

# Below 32768, where the ports begin that the kernel assigns to outgoing connections.
MIN_PORT, MAX_PORT = 20000, 32000
MAX_TRIES = 500
LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
NAMES = ("postgres", "amqp", "erlang", "epmd")


def is_free(port: int) -> bool:
    """Return whether nothing listens on the port on either loopback address (epmd listens on both)."""
    # Without IPv6, binding port 0 fails too, and that address is not checked.
    return all(_can_bind(*address, port) for address in LOOPBACKS if _can_bind(*address, 0))


def next_free_port(port: int) -> int:
    while not is_free(port):
        port += 1
    return port


def find_free_port(excluded: set[int]) -> int:
    """Return a random free port that is not excluded; two stacks that start concurrently rarely collide."""
    for _ in range(MAX_TRIES):
        port = random.randint(MIN_PORT, MAX_PORT)
        if port not in excluded and is_free(port):
            return port
    raise RuntimeError(f"no free port between {MIN_PORT} and {MAX_PORT}")


def load(file: Path) -> dict[str, int]:
    """Return the ports chosen at an earlier start, or an empty dict."""
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return ports


def choose(file: Path) -> dict[str, int]:
    """Choose one port per name: the stored one if it is free, otherwise a new one.

    Call this only while nothing of the stack is running.
    """
    stored = load(file)
    chosen: dict[str, int] = {}
    for name in NAMES:
        port = stored.get(name)
        excluded = set(chosen.values()) | set(stored.values())
        chosen[name] = port if port and is_free(port) else find_free_port(excluded)
    file.write_text(json.dumps(chosen, indent=2) + "\n")
    return chosen


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            # The servers set this option too: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def responds_to_livez(file: Path) -> bool:
    """Return whether a web program accepts requests on the Unix socket."""
    return socket_responds(file, b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n", b"HTTP/1.")


def socket_responds(file: Path, request: bytes, response: bytes) -> bool:
    """Return whether the server on the Unix socket responds with something that begins with `response`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(file))
            connection.sendall(request)
            return connection.recv(16).startswith(response)
    except OSError:
        return False
