"""Ports on loopback: found free once, then kept in the stack's folder; and what listens on a socket."""

import json
import random
import socket
from pathlib import Path

# Below 32768, where the kernel begins to hand out ports for outgoing connections.
LOWEST, HIGHEST = 20000, 32000
MOST_TRIES = 500
LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
NAMES = ("postgres", "amqp", "erlang", "epmd")


def is_free(port: int) -> bool:
    """Nothing listens on it, on either loopback address (epmd listens on both)."""
    # A machine without IPv6 has no port 0 there either.
    return all(_can_bind(*address, port) for address in LOOPBACKS if _can_bind(*address, 0))


def first_free_from(port: int) -> int:
    while not is_free(port):
        port += 1
    return port


def some_free(taken: set[int]) -> int:
    """A free port that is not in `taken`; random, so that two stacks starting at once rarely collide."""
    for _ in range(MOST_TRIES):
        port = random.randint(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")


def load(file: Path) -> dict[str, int]:
    """The ports chosen at an earlier start, or nothing."""
    return json.loads(file.read_text()) if file.exists() else {}


def choose(file: Path) -> dict[str, int]:
    """One port per name: the kept one while it is free, else a new one. Call with nothing running."""
    kept = load(file)
    chosen: dict[str, int] = {}
    for name in NAMES:
        port = kept.get(name)
        taken = set(chosen.values()) | set(kept.values())
        chosen[name] = port if port and is_free(port) else some_free(taken)
    file.write_text(json.dumps(chosen, indent=2) + "\n")
    return chosen


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            # As the servers do: a port whose last connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def responds(file: Path, request: bytes, response: bytes) -> bool:
    """Tell whether what listens on the Unix socket sends something that begins with `response`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(file))
            connection.sendall(request)
            return connection.recv(16).startswith(response)
    except OSError:
        return False
