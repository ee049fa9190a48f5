"""Read IP addresses, and group those of one caller."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_REMEMBERED: Final = 4096
"""Addresses whose reading is remembered: it takes 10 to 100 µs, and every guarded request needs it."""
_MAX_LENGTH: Final = 100
"""The longest text that may be an address; also bounds the memory for what is remembered."""
_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>[0-9.]+):\d{1,5}", re.ASCII)


def read_address(text: str) -> Address | None:
    """Return an address as proxies write it, without port and zone; an IPv4-mapped IPv6 address as IPv4."""
    text = text.strip(" \t")
    return _read(text) if len(text) <= _MAX_LENGTH else None


@lru_cache(_REMEMBERED)
def _read(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port["v4"] or with_port["v6"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(_REMEMBERED)
def network_of(address: Address | None) -> str:
    """Return the key under which an address is limited: an IPv4 address, an IPv6 network, or `unknown`.

    IPv6 addresses share a key per /64, the usual size of one caller's network.
    """
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address)


def is_loopback_host(host: str) -> bool:
    """Return whether a host name or address, without port and brackets, is this machine."""
    address = read_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback
