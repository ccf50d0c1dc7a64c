"""Valkey, the Redis of this stack: on a Unix socket, so that it needs neither port nor password."""

from quintet_local import binaries, ports
from quintet_local.layout import Layout
from quintet_local.supervise import Program

NAME = "valkey"


class Valkey:
    """The cache of one stack. It stores nothing on disk, because its contents can be recomputed."""

    def __init__(self, layout: Layout) -> None:
        self.socket = layout.socket(NAME)

    def program(self) -> Program:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "allkeys-lru",
            # How often it looks for background work in a second: 10 by default, also at rest.
            "hz": "2",
        }
        flags = [flag for name, value in options.items() for flag in (f"--{name}", value)]
        return Program(NAME, [str(binaries.valkey()), *flags])

    def url(self) -> str:
        return f"unix://{self.socket}"

    def is_ready(self) -> bool:
        return ports.socket_responds(self.socket, b"PING\r\n", b"+PONG")
