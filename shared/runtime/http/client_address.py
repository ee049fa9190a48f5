"""Determine the address that a request comes from, also through proxies."""

from collections.abc import Sequence
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta

from shared.runtime.http.address import Address, read_address

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
    return forwarded_address(request.remote, request.headers.getall(FORWARDED_FOR, ()), proxy_hops)


def forwarded_address(remote: str | None, forwarded_for: Sequence[str], proxy_hops: int) -> Address | None:
    """Return the client's address as `client_address` does, from the connection's and the `X-Forwarded-For` headers."""
    if proxy_hops == 0:
        return read_address(remote or "")
    entries = ",".join(forwarded_for).split(",")
    return read_address(entries[-proxy_hops]) if len(entries) >= proxy_hops else None
