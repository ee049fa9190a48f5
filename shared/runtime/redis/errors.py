"""Explain to an operator, in one sentence, why Redis cannot be used, and what to do."""

import re
import ssl
from collections.abc import Callable, Iterator
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.runtime.process.outage import Unavailable

REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""What a call to Redis raises. uvloop raises `RuntimeError` if a connection was closed while it is used."""

MAX_ANSWER: Final = 200
"""Characters of Redis's own words in a message."""


class RedisUnavailable(Unavailable):
    """Redis cannot be used. The message is one sentence: which address, what is wrong, and what to do."""


class MasterUnknown(RedisConnectionError):
    """The Sentinels name no master. The message completes `The Sentinels at …`."""


def explain(error: BaseException, address: str) -> RedisUnavailable:
    """Return the error for an operator. `address` is what was tried, if `error` does not say it."""
    if isinstance(error, RedisUnavailable):
        return error
    chain = list(_causes(error))
    where = next((found for each in chain if (found := _find_address(str(each)))), address)
    for each in chain:
        for kind, sentence in _SENTENCES:
            if isinstance(each, kind) and (said := sentence(each)):
                return RedisUnavailable(said.format(where=where, address=address))
    return RedisUnavailable(f"Redis at {where} cannot be used: {type(error).__name__}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what the error was raised from, innermost first, and then the error."""
    chain: list[BaseException] = []
    while error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__ or error
    yield from reversed(chain)


_ADDRESS: Final = re.compile(r"(?:connecting to|reading from|writing to) (\[?[0-9A-Za-z_.:-]+?\]?:\d+)\b")


def _find_address(text: str) -> str | None:
    found = _ADDRESS.search(text)
    return found[1] if found else None


def _explain_certificate(error: BaseException) -> str:
    reason = getattr(error, "verify_message", "") or "it cannot be verified"
    return (
        f"the certificate of Redis at {{where}} is not accepted: {_quote(reason)}; name the file of its CA by "
        "ssl_ca_certs in REDIS_URL, and the host as in the certificate"
    )


_PLAIN_PORT: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")
_CLIENT_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "UNKNOWN_CA", "BAD_CERTIFICATE", "EXPIRED")


def _explain_tls(error: BaseException) -> str:
    reason = str(getattr(error, "reason", "") or error).upper()
    if any(each in reason for each in _PLAIN_PORT):
        return "Redis at {where} does not speak TLS on this port; name its TLS port, or begin REDIS_URL with redis"
    if any(each in reason for each in _CLIENT_CERTIFICATE):
        return (
            "Redis at {where} does not accept the client certificate; name one that it accepts by ssl_certfile and "
            "ssl_keyfile in REDIS_URL"
        )
    return f"TLS with Redis at {{where}} fails: {_quote(reason)}; check the options ssl_… of REDIS_URL"


def _explain_response(error: BaseException) -> str:
    text = str(error)
    if "cluster support disabled" in text or "Cluster mode is not enabled" in text:
        return "Redis at {where} is no node of a cluster; begin REDIS_URL with redis://"
    if "unknown command" in text or "HELLO messages" in text:
        return f"Redis at {{where}} does not know a command: {_quote(text)}; is it a Sentinel, or older than 7.0?"
    return f"Redis at {{where}} answers with an error: {_quote(text)}"


def _explain_cluster(error: BaseException) -> str:
    if "not covered" in str(error):
        return "some slots of the Redis cluster at {address} have no node; repair the cluster"
    return ""


def _explain_connection(error: BaseException) -> str:
    text = str(error).lower()
    if "refused" in text or "connect call failed" in text:
        return "Redis at {where} refuses the connection; start it, or correct REDIS_URL"
    if "closed" in text or "reset" in text or "not enough data" in text or "lost" in text:
        return "Redis at {where} has closed the connection; if it expects TLS on this port, begin REDIS_URL with rediss"
    if "number of clients" in text:
        return "Redis at {where} has reached its maximum number of clients; raise maxclients"
    return ""


def _explain_os_error(error: BaseException) -> str:
    said = _explain_connection(error)
    if said or isinstance(error, TimeoutError):
        return said
    strerror = getattr(error, "strerror", None)
    if not strerror:
        return ""
    return f"Redis at {{where}} cannot be reached: {_quote(strerror)}; correct REDIS_URL, or repair the network"


def _always(sentence: str) -> Callable[[BaseException], str]:
    return lambda _error: sentence


_SLOW: Final = "Redis at {where} does not answer in time; start it, or correct REDIS_URL or the network"
_REFUSED: Final = "Redis at {where} refuses the user or its password; correct them in REDIS_URL, or the user in Redis"

_SENTENCES: Final[tuple[tuple[type[BaseException], Callable[[BaseException], str]], ...]] = (
    (MasterUnknown, lambda error: f"the Sentinels at {{address}} {error}"),
    (ssl.SSLCertVerificationError, _explain_certificate),
    (ssl.SSLError, _explain_tls),
    (
        NoPermissionError,
        lambda error: (
            f"Redis at {{where}} refuses a command: {_quote(str(error))}; grant its user the rights in docs/redis.md"
        ),
    ),
    (AuthenticationError, _always(_REFUSED)),
    (AuthenticationWrongNumberOfArgsError, _always(_REFUSED)),
    (AuthorizationError, _always(_REFUSED)),
    (BusyLoadingError, _always("Redis at {where} is starting and loads its data; this ends by itself")),
    (MaxConnectionsError, _always("too many connections to Redis at {where} are open")),
    (MovedError, _always("Redis at {where} is a node of a cluster; begin REDIS_URL with redis+cluster://")),
    (ReadOnlyError, _always("Redis at {where} is a replica; name the master in REDIS_URL, or its Sentinels")),
    (ClusterDownError, _always("the Redis cluster at {address} is down: too few of its masters answer")),
    (SlotNotCoveredError, _always("some slots of the Redis cluster at {address} have no node; repair the cluster")),
    (OutOfMemoryError, _always("Redis at {where} has no memory left; raise maxmemory, or let it evict keys")),
    (ResponseError, _explain_response),
    (OSError, _explain_os_error),
    (RedisTimeoutError, _always(_SLOW)),
    (TimeoutError, _always(_SLOW)),
    (RedisConnectionError, _explain_connection),
    (RedisClusterException, _explain_cluster),
    (RuntimeError, _always("the connection to Redis at {where} was closed while it was used")),
)
"""What to say of an error; the first that fits and says something counts. The innermost error is asked first."""


def _quote(text: str) -> str:
    """Return Redis's own words, short, on one line, without braces."""
    plain = "".join(char if char.isprintable() and char not in "{}" else " " for char in text)
    return plain.strip().rstrip(".")[:MAX_ANSWER]
