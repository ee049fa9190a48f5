"""What errors of the network mean, in words."""

import ssl

import aiohttp

_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""Reasons of OpenSSL for an answer that is not TLS."""


def explain(error: BaseException, url: str) -> str:
    """Return what the error of a request to `url` means; the name of its class where that is all there is to say."""
    cause = getattr(error, "os_error", None) or error
    host = url.partition("://")[2]
    match cause:
        case ssl.SSLCertVerificationError():
            meaning = f"its certificate is not accepted: {cause.verify_message}"
        case ssl.SSLError() if (cause.reason or "") in _NOT_TLS:
            meaning = f"the server speaks HTTP, not HTTPS: use http://{host}"
        case aiohttp.ClientResponseError() if url.startswith("http://"):
            meaning = f"the server does not speak HTTP, but perhaps HTTPS: use https://{host}"
        case TimeoutError():
            meaning = "no answer in time"
        case ConnectionRefusedError():
            meaning = "the connection was refused"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            meaning = "the server closed the connection"
        case _:
            is_unknown = isinstance(error, aiohttp.ClientConnectorDNSError)
            meaning = "the name of the host is unknown" if is_unknown else type(error).__name__
    return meaning
