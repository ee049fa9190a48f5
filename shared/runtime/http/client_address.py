"""The address that a request comes from, also where proxies stand in between."""

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
        description="how many proxies in front, 0 to 10, add to X-Forwarded-For whom they are called by: the caller's "
        "address is that many entries from its right; 0 believes the connection alone",
    ),
]
"""The setting `TRUSTED_PROXY_HOPS`. Too high a number lets callers make their address up."""

FORWARDED_FOR: Final = "X-Forwarded-For"


def client_address(request: web.Request, proxy_hops: int) -> Address | None:
    """The caller's address as the outermost of `proxy_hops` trusted proxies saw it; with 0, the connection's.

    Each proxy appends to `X-Forwarded-For` whom it was called by. So the entry that counts is the `proxy_hops`-th from
    the right; what stands left of it, a caller may have made up. `None` where there is no such entry, or it is none.
    """
    if proxy_hops == 0:
        return read_address(request.remote or "")
    entries = ",".join(request.headers.getall(FORWARDED_FOR, ())).split(",")
    return read_address(entries[-proxy_hops]) if len(entries) >= proxy_hops else None


_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>[0-9.]+):\d{1,5}", re.ASCII)


def read_address(text: str) -> Address | None:
    """An address as proxies write it, without its port and zone; an IPv4 address within IPv6 as the IPv4 address."""
    text = text.strip(" \t")
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port["v4"] or with_port["v6"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
