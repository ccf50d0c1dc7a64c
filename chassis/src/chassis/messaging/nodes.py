"""The addresses of a RabbitMQ cluster's nodes, in the order in which to try them."""

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
    """A host, or one of its addresses; `url` is the cluster's URL reduced to this host."""

    url: str
    host: str
    port: int
    address: str = ""


class Nodes:
    """Every address of every host in `amqp://user:password@a:5672,b/vhost`; the one that failed last is tried last."""

    def __init__(self, url: str) -> None:
        """Raise ValueError if a port is invalid."""
        parts = urlsplit(url)
        credentials, at, hosts = parts.netloc.rpartition("@")
        self._hosts = [_host(parts._replace(netloc=f"{credentials}{at}{host}").geturl()) for host in hosts.split(",")]
        self._failures: dict[Node, int] = {}
        self._counter = itertools.count(1)

    def in_order(self) -> Iterator[Node]:
        """Yield the addresses. A host's name is resolved only once it is needed; the host is skipped if that fails."""
        for host in sorted(self._hosts, key=self._last_failure):
            try:
                resolved = socket.getaddrinfo(host.host, host.port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.warning("broker.host_unresolved", host=host.host, reason=str(error))
                self._failures[host] = next(self._counter)
            else:
                nodes = [Node(host.url, host.host, host.port, str(address[0])) for *_, address in resolved]
                yield from sorted(nodes, key=self._last_failure)

    def record_failure(self, node: Node) -> None:
        """Move the node, which did not respond or no longer does, to the end of the order."""
        host = Node(node.url, node.host, node.port)
        self._failures[node] = self._failures[host] = next(self._counter)

    def _last_failure(self, node: Node) -> int:
        return self._failures.get(node, 0)


def _host(url: str) -> Node:
    parts = urlsplit(url)
    return Node(url, parts.hostname or "localhost", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0))
