"""Sources may be fetched from public addresses only, regardless of the form in which an address is written."""

import ipaddress

import pytest

from specstore_service.clients.addresses import is_allowed, parse_networks

PRIVATE_IPV4 = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PUBLIC_IPV4 = ["1.1.1.1", "8.8.8.8", "11.0.0.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "193.0.0.1", "223.1.1.1"]
PRIVATE_IPV6 = [
    "::", "::1", "::2", "100::1", "400::1", "1fff::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2001:1ff::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%lo", "fec0::1", "feff::1", "ff02::1", "ff0e::1", "64:ff9b:2::1",
]  # fmt: skip
PUBLIC_IPV6 = ["2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:200::1", "2003::1"]

# Prefixes of addresses that contain an IPv4 address in their last 32 bits.
MAPPED, TRANSLATED, NAT64 = "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"
COMPATIBLE, LOCAL_NAT64, LOCAL_NAT64_SUBNET = "::", "64:ff9b:1::", "64:ff9b:1:ffff::"


def embed_ipv4(prefix, ipv4):
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(ipaddress.IPv4Address(ipv4))))


def six_to_four(ipv4):
    return str(ipaddress.IPv6Address((0x2002 << 112) | int(ipaddress.IPv4Address(ipv4)) << 80 | 1))


def local_nat64_after_48_bits(ipv4):
    """Embed an IPv4 address after a prefix of 48 bits; according to RFC 6052, bits 64 to 71 are zero."""
    high, low = divmod(int(ipaddress.IPv4Address(ipv4)), 1 << 16)
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b:1::")) | high << 64 | low << 40))


@pytest.mark.parametrize("address", PRIVATE_IPV4 + PRIVATE_IPV6)
def test_non_public_address_is_rejected(address):
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", PUBLIC_IPV4 + PUBLIC_IPV6)
def test_public_address_is_allowed(address):
    assert is_allowed(address, ())


@pytest.mark.parametrize("prefix", [MAPPED, TRANSLATED, NAT64, COMPATIBLE, LOCAL_NAT64, LOCAL_NAT64_SUBNET])
@pytest.mark.parametrize("ipv4", PRIVATE_IPV4)
def test_private_ipv4_address_is_rejected_in_every_ipv6_form(prefix, ipv4):
    assert not is_allowed(embed_ipv4(prefix, ipv4), ())


@pytest.mark.parametrize("ipv4", PRIVATE_IPV4 + PUBLIC_IPV4)
def test_non_public_ipv6_forms_are_rejected_for_every_embedded_address(ipv4):
    for prefix in (TRANSLATED, COMPATIBLE, LOCAL_NAT64, LOCAL_NAT64_SUBNET):
        assert not is_allowed(embed_ipv4(prefix, ipv4), ())
    assert not is_allowed(six_to_four(ipv4), ())
    assert not is_allowed(local_nat64_after_48_bits(ipv4), ())


@pytest.mark.parametrize("prefix", [MAPPED, NAT64])
def test_mapped_address_is_treated_as_its_embedded_ipv4_address(prefix):
    assert is_allowed(embed_ipv4(prefix, "8.8.8.8"), ())
    assert is_allowed(embed_ipv4(prefix, "10.1.2.3"), parse_networks("10.1.0.0/16"))
    assert not is_allowed(embed_ipv4(prefix, "10.2.0.1"), parse_networks("10.1.0.0/16"))


def test_configured_network_is_allowed():
    allowed = parse_networks("10.1.0.0/16, fd00::/8, 64:ff9b:1::/48")
    assert all(is_allowed(address, allowed) for address in ("10.1.2.3", "fd12::1", "64:ff9b:1::a01:203"))
    assert not any(is_allowed(address, allowed) for address in ("10.2.0.1", "fc00::1", "2002:a01:203::1"))
