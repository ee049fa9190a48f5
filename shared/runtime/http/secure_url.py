"""Decide to which URLs secrets may be sent: with TLS, or on this machine."""

import re
from typing import Final
from urllib.parse import urlsplit

from shared.runtime.http.address import is_loopback_host

_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


def is_secure_url(url: str) -> bool:
    """Return whether this is an `https` URL, or `http` with a loopback host, without credentials and fragment."""
    if not _VISIBLE_ASCII.fullmatch(url) or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))
