"""Determine the address that a request comes from, also through proxies."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta

Address = IPv4Address | IPv6Address

ProxyHops = Annotated[
    int,
    Meta(
        ge=0,
        le=10,
        description="number of trusted proxies in front, 0 to 10, that append their caller's address to "
        "X-Forwarded-For: the client's address is that many entries from its right; 0 uses the connection's address",
    ),
]
"""The setting `TRUSTED_PROXY_HOPS`. If the number is too high, clients can forge their address."""

FORWARDED_FOR: Final = "X-Forwarded-For"


def client_address(request: web.Request, proxy_hops: int) -> Address | None:
    """Return the client's address as the outermost of `proxy_hops` trusted proxies saw it; with 0, the connection's.

    Each proxy appends its caller's address to `X-Forwarded-For`. So the address is the `proxy_hops`-th entry from the
    right; a client may have forged the entries left of it. Return `None` if that entry is missing or no address.
    """
    if proxy_hops == 0:
        return read_address(request.remote or "")
    entries = ",".join(request.headers.getall(FORWARDED_FOR, ())).split(",")
    return read_address(entries[-proxy_hops]) if len(entries) >= proxy_hops else None


_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>[0-9.]+):\d{1,5}", re.ASCII)


def read_address(text: str) -> Address | None:
    """Return an address as proxies write it, without port and zone; an IPv4-mapped IPv6 address as IPv4."""
    text = text.strip(" \t")
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port["v4"] or with_port["v6"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
