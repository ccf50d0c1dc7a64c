"""Connections to addresses of the public internet only: checked when they are made, not when a name is read."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

_MAX_ADDRESSES_TRIED = 4

# IPv6 forms of an IPv4 address, which is their last 32 bits: mapped and NAT64. Every other form (translated, 6to4,
# Teredo, IPv4-compatible, local-use NAT64) is outside the public networks below.
_IPV4_FORMS = [ipaddress.ip_network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96")]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Python versions differ in which of these they take for global.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip


class Forbidden(OSError):
    """No address of the host may be connected to."""


def parse_networks(text: str | None) -> tuple[Network, ...]:
    """Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Return whether an address is public or in one of those networks; an IPv4 address counts in IPv6 form, too."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if _is_in(ip, allowed):
        return True
    if _is_in(ip, _IPV4_FORMS):
        return is_allowed(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)), allowed)
    return ip.is_global and not _is_in(ip, _NOT_PUBLIC) and (ip.version == 4 or ip in _GLOBAL_UNICAST)


def _is_in(ip: IPAddress, of_networks: Sequence[Network]) -> bool:
    return any(ip in network for network in of_networks)


def resolve(host: str, port: int) -> Sequence[str]:
    """Decimal, octal and shortened spellings of addresses too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(host: str, port: int, allowed: Sequence[Network], timeout: float, resolver: Resolve = resolve) -> Any:
    """To one of the addresses that were just checked: the name is not looked up a second time. Raises OSError."""
    addresses = [address for address in resolver(host, port) if is_allowed(address, allowed)]
    if not addresses:
        raise Forbidden("the host has no address that data may be fetched from")
    problem: OSError | None = None
    for address in addresses[:_MAX_ADDRESSES_TRIED]:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            problem = error
    raise problem or Forbidden("the host has no address")
