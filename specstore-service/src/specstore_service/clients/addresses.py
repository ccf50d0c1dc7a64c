"""Connections to public addresses only. An address is checked when it is connected to, not when a URL is parsed."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

_MAX_ADDRESSES_TRIED = 4

# IPv6 networks whose addresses embed an IPv4 address in their last 32 bits: mapped and NAT64. The networks below reject
# every other form (translated, 6to4, Teredo, IPv4-compatible, local-use NAT64).
_EMBEDDED_IPV4_NETWORKS = [ipaddress.ip_network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96")]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Python versions differ in which of these they consider global.
_NON_PUBLIC_NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip


class Forbidden(OSError):
    """The host has no address that is_allowed accepts."""


def parse_networks(text: str | None) -> tuple[Network, ...]:
    """Return the comma-separated networks. Raise ValueError if one of them is invalid."""
    return tuple(ipaddress.ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Return whether an address is public or in an allowed network.

    An IPv6 address that embeds an IPv4 address is allowed if either of the two is in an allowed network, or if the
    IPv4 address is public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if _is_in(ip, allowed):
        return True
    if _is_in(ip, _EMBEDDED_IPV4_NETWORKS):
        return is_allowed(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)), allowed)
    return ip.is_global and not _is_in(ip, _NON_PUBLIC_NETWORKS) and (ip.version == 4 or ip in _GLOBAL_UNICAST)


def _is_in(ip: IPAddress, networks: Sequence[Network]) -> bool:
    return any(ip in network for network in networks)


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, which may also be an address in decimal, octal or shortened spelling."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def connect(
    host: str, port: int, allowed: Sequence[Network], timeout_seconds: float, resolver: Resolver = resolve
) -> socket.socket:
    """Connect to one of the host's allowed addresses. Raise OSError.

    The host is resolved once: the address that was checked is the address that is used.
    """
    addresses = [address for address in resolver(host, port) if is_allowed(address, allowed)]
    if not addresses:
        raise Forbidden("the host has no address that is public or in an allowed network")
    last_error: OSError | None = None
    for address in addresses[:_MAX_ADDRESSES_TRIED]:
        try:
            return socket.create_connection((address, port), timeout_seconds)
        except OSError as error:
            last_error = error
    raise last_error or Forbidden("the host has no address")
