"""The addresses of the replicas of a service."""

import socket
from urllib.parse import urlsplit


def replica_urls(url: str) -> list[str]:
    """Return the address of each replica: with containers, the name of a service resolves to all of them."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return [url]
    try:
        entries = socket.getaddrinfo(parts.hostname, parts.port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return [url]
    return sorted({f"http://{address[0]!s}:{parts.port}" for *_, address in entries})
