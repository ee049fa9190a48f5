"""Say in words why a request to another server has failed."""

import errno
import os
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

_CLOSED: Final = "the server closed the connection"
_ERRNOS: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: _CLOSED,
    errno.EPIPE: _CLOSED,
}


def explain(error: BaseException) -> str:
    """Return what the error of a request means, without its URL; the name of its class where nothing else is known."""
    cause = getattr(error, "os_error", None) or error
    match cause:
        case ssl.SSLCertVerificationError():
            meaning = f"its certificate is not accepted: {cause.verify_message}"
        case ssl.SSLError():
            meaning = f"TLS failed: {cause.reason or type(cause).__name__}"
        case TimeoutError():
            meaning = "no answer in time"
        case _ if isinstance(error, aiohttp.ClientConnectorDNSError):
            meaning = "the name of the host is unknown"
        case OSError() if cause.errno is not None and cause.errno > 0:
            meaning = _ERRNOS.get(cause.errno) or os.strerror(cause.errno)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():  # without a number, the connection was lost
            meaning = _CLOSED
        case _:
            meaning = type(error).__name__
    return meaning
