"""Valkey, the Redis of this stack: on a unix socket, so that it needs neither port nor password."""

from quintet_local import binaries, ports
from quintet_local.layout import Layout
from quintet_local.supervise import Program

NAME = "valkey"


class Valkey:
    """The cache of one stack. It keeps nothing on disk: what is in it can be made anew."""

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
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Program(NAME, [str(binaries.valkey()), *words])

    def url(self) -> str:
        return f"unix://{self.socket}"

    def answers(self) -> bool:
        return ports.responds(self.socket, b"PING\r\n", b"+PONG")
