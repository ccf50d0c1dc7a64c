"""Connections to addresses of the public internet only: checked when they are made, not when a name is read."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

_MOST_TRIED = 4

# Addresses of IPv6 that lead to one of IPv4, and how far from the end that stands.
_CARRIERS = {
    ipaddress.IPv6Network("::ffff:0:0/96"): 0,
    ipaddress.IPv6Network("::/96"): 0,
    ipaddress.IPv6Network("64:ff9b::/96"): 0,
    ipaddress.IPv6Network("64:ff9b:1::/48"): 0,
    ipaddress.IPv6Network("2002::/16"): 80,
}
# What Python's lists (of some versions) take for global.
_NOT_GLOBAL = [
    ipaddress.ip_network(text)
    for text in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")
]


class Forbidden(OSError):
    """No address of the host may be connected to."""


def networks(text: str | None) -> tuple[Network, ...]:
    """Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Global, or in one of those networks; an IPv4 address inside an IPv6 one counts as what it is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in allowed if network.version == ip.version):
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        for carrier, shift in _CARRIERS.items():
            if ip in carrier:
                return is_allowed(str(ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)), allowed)
    return (
        ip.is_global and not ip.is_multicast and not any(ip in net for net in _NOT_GLOBAL if net.version == ip.version)
    )


def resolve(host: str, port: int) -> Sequence[str]:
    """Decimal, octal and shortened spellings of addresses too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(host: str, port: int, allowed: Sequence[Network], timeout: float, look_up: Resolve = resolve) -> Any:
    """To one of the addresses that were just checked: the name is not looked up a second time. Raises OSError."""
    addresses = [address for address in look_up(host, port) if is_allowed(address, allowed)]
    if not addresses:
        raise Forbidden("the host has no address that data may be fetched from")
    problem: OSError | None = None
    for address in addresses[:_MOST_TRIED]:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            problem = error
    raise problem or Forbidden("the host has no address")
