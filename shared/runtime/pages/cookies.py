"""A cookie with the secret of a session, which only the pages of this host get back."""

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from shared.runtime.http.address import is_loopback_host

SameSite = Literal["Strict", "Lax"]
_VALUE: Final = re.compile(r"[A-Za-z0-9._-]{1,2048}")


class SecretCookie(NamedTuple):
    """A cookie for pages at an origin: `https`, or `http` on a loopback host.

    Over HTTPS its name begins with `__Host-`, so that no other host can set it (RFC 6265bis §4.1.3.2). Without HTTPS,
    on a loopback host, browsers accept neither that prefix nor `Secure`.
    """

    name: str
    is_secure: bool
    same_site: SameSite = "Strict"

    def read(self, request: web.Request) -> str | None:
        """Return the value that the browser has sent; `None` for one that `set` has not sent."""
        value = request.cookies.get(self._full_name)
        return value if value and _VALUE.fullmatch(value) else None

    def set(self, response: web.StreamResponse, value: str, max_age_s: int | None = None) -> None:
        """Send the cookie with a response. Without `max_age_s` it lasts until the browser is closed."""
        response.set_cookie(
            self._full_name,
            value,
            max_age=max_age_s,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite=self.same_site,
        )

    def delete(self, response: web.StreamResponse) -> None:
        """Let the browser remove the cookie."""
        self.set(response, "", max_age_s=0)

    @property
    def _full_name(self) -> str:
        return f"__Host-{self.name}" if self.is_secure else self.name


def is_https(origin: str) -> bool:
    """Return whether a URL is of HTTPS."""
    return urlsplit(origin).scheme == "https"


def is_private_origin(origin: str) -> bool:
    """Return whether no one else can read what is sent to a URL: it is of HTTPS, or of a loopback host."""
    return is_https(origin) or is_loopback_host(urlsplit(origin).hostname or "")
