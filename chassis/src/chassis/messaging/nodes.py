"""The addresses of a cluster's nodes, in the order in which they are to be tried."""

import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from chassis.runtime import logs

log = logs.logger(__name__)

_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True)
class Node:
    """A host, or one address of it; `url` is the cluster's URL with this host alone."""

    url: str
    host: str
    port: int
    address: str = ""


class Nodes:
    """`amqp://user:password@a:5672,b/vhost`: every address of every host, those that failed last at the end."""

    def __init__(self, url: str) -> None:
        """Raise ValueError if a port is invalid."""
        parts = urlsplit(url)
        credentials, at, hosts = parts.netloc.rpartition("@")
        self._hosts = [_host(parts._replace(netloc=f"{credentials}{at}{host}").geturl()) for host in hosts.split(",")]
        self._failures: dict[Node, int] = {}
        self._counter = itertools.count(1)

    def in_order(self) -> Iterator[Node]:
        """Yield the addresses; a host's name is resolved when its turn comes, and skipped if that fails."""
        for host in sorted(self._hosts, key=self._last_failure):
            try:
                found = socket.getaddrinfo(host.host, host.port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.warning("broker.unresolved", host=host.host, reason=str(error))
                self._failures[host] = next(self._counter)
            else:
                nodes = [Node(host.url, host.host, host.port, str(address[0])) for *_, address in found]
                yield from sorted(nodes, key=self._last_failure)

    def put_last(self, node: Node) -> None:
        """Note that it did not answer, or stopped answering."""
        host = Node(node.url, node.host, node.port)
        self._failures[node] = self._failures[host] = next(self._counter)

    def _last_failure(self, node: Node) -> int:
        return self._failures.get(node, 0)


def _host(url: str) -> Node:
    parts = urlsplit(url)
    return Node(url, parts.hostname or "localhost", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0))
