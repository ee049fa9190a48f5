"""From where a token was used: what a request says is only stored, and read when a sync reports it."""

from typing import Final

from aiohttp import hdrs, web
from msgspec import Struct

from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.http.client_address import FORWARDED_FOR, forwarded_address
from shared.runtime.http.user_agent import MAX_READ, shorten_user_agent
from shared.runtime.process.redaction import redactor

_MAX_FORWARDED: Final = 1024
"""Characters of `X-Forwarded-For` that are stored per secret, from its right: more than the proxies add."""


class Origin(Struct, frozen=True):
    """The address of the connection, and the headers `X-Forwarded-For` and `User-Agent`, as they were received."""

    remote: str | None
    forwarded_for: tuple[str, ...]
    user_agent: str


class Origins:
    """Takes the origin of requests, and describes it in reports. Create one instance per guard."""

    def __init__(self, proxy_hops: int, *, is_reported: bool = True) -> None:
        self._proxy_hops = proxy_hops
        self._is_reported = is_reported
        self._redact = redactor(SECRET_PATTERN, SECRET_START)

    def of(self, request: web.Request) -> Origin | None:
        """Return the origin of the request; `None` if origins are not reported. Every request runs this."""
        if not self._is_reported:
            return None
        forwarded = self._forwarded(request) if self._proxy_hops else ()
        return Origin(request.remote, forwarded, request.headers.get(hdrs.USER_AGENT, "")[:MAX_READ])

    def describe(self, origin: Origin) -> tuple[str | None, str | None]:
        """Return the client's address and its user agent, shortened and without secrets."""
        address = forwarded_address(origin.remote, origin.forwarded_for, self._proxy_hops)
        return None if address is None else str(address), shorten_user_agent(origin.user_agent, self._redact)

    def _forwarded(self, request: web.Request) -> tuple[str, ...]:
        return tuple(each[-_MAX_FORWARDED:] for each in request.headers.getall(FORWARDED_FOR, ())[-self._proxy_hops :])
