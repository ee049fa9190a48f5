"""A cookie with the secret of a session, which only the pages of this host get back."""

import re
from http.cookies import Morsel
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from shared.runtime.http.address import is_loopback_host

SameSite = Literal["Strict", "Lax", "None"]
_VALUE: Final = re.compile(r"[A-Za-z0-9._-]{1,2048}")


class SecretCookie(NamedTuple):
    """A cookie for pages at an origin: `https`, or `http` on a loopback host.

    Over HTTPS its name begins with `__Host-`, so that no other host can set it (RFC 6265bis §4.1.3.2), or with
    `__Secure-` if it is for one path. Without HTTPS, on a loopback host, browsers accept neither prefix nor `Secure`.

    In a frame on another site, browsers send only a cookie of `SameSite=None`, and many only a partitioned one, which
    such a frame on a third site does not get (CHIPS).
    """

    name: str
    is_secure: bool
    same_site: SameSite = "Strict"
    path: str = "/"

    def read(self, request: web.Request) -> str | None:
        """Return the value that the browser has sent; `None` for one that `set` has not sent."""
        value = request.cookies.get(self._full_name)
        return value if value and _VALUE.fullmatch(value) else None

    def set(self, response: web.StreamResponse, value: str, max_age_s: int | None = None) -> None:
        """Send the cookie with a response. Without `max_age_s` it lasts until the browser is closed."""
        morsel: Morsel[str] = Morsel()
        morsel.set(self._full_name, value, value)
        morsel.update({"path": self.path, "httponly": "true", "samesite": self.same_site})
        if max_age_s is not None:
            morsel["max-age"] = str(max_age_s)
        if self.is_secure:
            morsel["secure"] = "true"
        is_partitioned = self.same_site == "None"  # `Morsel` knows that attribute since Python 3.14
        response.headers.add(hdrs.SET_COOKIE, morsel.OutputString() + ("; Partitioned" if is_partitioned else ""))

    def delete(self, response: web.StreamResponse) -> None:
        """Let the browser remove the cookie."""
        self.set(response, "", max_age_s=0)

    @property
    def _full_name(self) -> str:
        if not self.is_secure:
            return self.name
        return f"__Host-{self.name}" if self.path == "/" else f"__Secure-{self.name}"


def is_https(origin: str) -> bool:
    """Return whether a URL is of HTTPS."""
    return urlsplit(origin).scheme == "https"


def is_private_origin(origin: str) -> bool:
    """Return whether no one else can read what is sent to a URL: it is of HTTPS, or of a loopback host."""
    return is_https(origin) or is_loopback_host(urlsplit(origin).hostname or "")
