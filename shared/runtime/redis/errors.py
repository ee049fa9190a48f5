"""Explain to an operator, in one sentence, why Redis cannot be used, and what to do."""

import re
import ssl
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from redis.asyncio.cluster import ClusterNode
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
from shared.runtime.redis.address import format_host

CALL_ERRORS: Final = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""What a call to Redis raises. uvloop raises `RuntimeError` if a connection was closed while it is used."""

MAX_ANSWER: Final = 200
"""Characters of Redis's own words in a message."""


class RedisUnavailable(Unavailable):
    """Redis cannot be used. The message is one sentence: which address, what is wrong, and what to do."""


class MasterUnknown(RedisConnectionError):
    """The Sentinels name no master. The message completes `The Sentinels at …`."""


class Server(NamedTuple):
    """What was tried: `name` begins a sentence. `login` is how an operator sets user and password."""

    name: str
    address: str
    is_tls: bool
    login: str = "user and password in REDIS_URL"


def explain(error: BaseException, server: Server) -> RedisUnavailable:
    """Return the error for an operator. If `error` names an address, that is where it happened."""
    if isinstance(error, RedisUnavailable):
        return error
    chain = list(_causes(error))
    where = next((found for each in chain if (found := _find_address(each))), server.address)
    start = f"{server.name} at {where}"
    for each in chain:
        for kind, predicate in _PREDICATES:
            if isinstance(each, kind) and (said := predicate(each, server)):
                return RedisUnavailable(f"{start} {said}")
    return RedisUnavailable(f"{start} cannot be used: {type(error).__name__}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what the error was raised from, innermost first, and then the error."""
    chain: list[BaseException] = []
    while error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__ or error
    yield from reversed(chain)


_ADDRESS: Final = re.compile(r"(?:connecting to|reading from|writing to) (\[?[0-9A-Za-z_.:-]+?\]?:\d+)\b")


def _find_address(error: BaseException) -> str | None:
    """Return the address that redis-py names in its errors, or the node of a cluster at which it happened."""
    if found := _ADDRESS.search(str(error)):
        return found[1]
    node = getattr(error, "connection", None)
    return format_host(node.host, int(node.port)) if isinstance(node, ClusterNode) else None


def _explain_certificate(error: BaseException, _server: Server) -> str:
    reason = getattr(error, "verify_message", "") or "it cannot be verified"
    return (
        f"has a certificate that is not accepted: {_quote(reason)}; name the file of its CA by ssl_ca_certs in "
        "REDIS_URL, and the host as in the certificate"
    )


_PLAIN_PORT: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")
_CLIENT_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "UNKNOWN_CA", "BAD_CERTIFICATE", "EXPIRED")
_NO_TLS: Final = "does not speak TLS on this port; name its TLS port, or begin REDIS_URL with redis instead of rediss"
_NO_CERTIFICATE: Final = (
    "does not accept the client certificate, or requires one; name one that it accepts by ssl_certfile and ssl_keyfile "
    "in REDIS_URL"
)


def _explain_tls(error: BaseException, _server: Server) -> str:
    reason = str(getattr(error, "reason", "") or error).upper()
    if any(each in reason for each in _PLAIN_PORT):
        return _NO_TLS
    if any(each in reason for each in _CLIENT_CERTIFICATE):
        return _NO_CERTIFICATE
    return f"and this service do not agree on TLS: {_quote(reason)}; check the options ssl_… of REDIS_URL"


def _explain_response(error: BaseException, server: Server) -> str:
    text = _quote(str(error))
    if "executing the script can't" in text or "ACL failure" in text:
        return _refuse_command(error, server)
    if "cluster support disabled" in text or "Cluster mode is not enabled" in text:
        return "is no node of a cluster; begin REDIS_URL with redis:// or rediss://"
    if "unknown command" in text and "SENTINEL" in text:
        return (
            "is no Sentinel; name the ports of Sentinels, usually 26379, or begin REDIS_URL with redis:// or rediss://"
        )
    if "unknown command" in text or "HELLO messages" in text:
        return f"does not know a command: {text}; is it a Sentinel, or older than 7.0?"
    return f"answers with an error: {text}"


def _explain_connection(error: BaseException, server: Server) -> str:
    text = str(error).lower()
    if "refused" in text or "connect call failed" in text:
        return "refuses the connection; start it, or correct REDIS_URL"
    if any(each in text for each in ("closed", "reset", "not enough data", "lost", "eof")):
        return f"has closed the connection; {_HINTS[server.is_tls]}"
    if "number of clients" in text:
        return "has reached its maximum number of clients; raise maxclients"
    return f"cannot be used: {_quote(str(error))}" if isinstance(error, RedisConnectionError) else ""


_HINTS: Final = {
    False: "start it, or, if it expects TLS on this port, begin REDIS_URL with rediss instead of redis",
    True: "start it, or, if it requires a client certificate, name one by ssl_certfile and ssl_keyfile in REDIS_URL",
}


def _explain_os_error(error: BaseException, server: Server) -> str:
    said = _explain_connection(error, server)
    if said or isinstance(error, TimeoutError):
        return said
    strerror = getattr(error, "strerror", None)
    return f"cannot be reached: {_quote(strerror)}; start it, or correct REDIS_URL or the network" if strerror else ""


def _explain_silence(_error: BaseException, server: Server) -> str:
    said = "does not answer in time; start it, or correct REDIS_URL or the network"
    return f"{said}, or name a port on which it speaks TLS" if server.is_tls else said


def _explain_moved(_error: BaseException, server: Server) -> str:
    scheme = "rediss" if server.is_tls else "redis"
    return f"is a node of a cluster; begin REDIS_URL with {scheme}+cluster://"


Predicate = Callable[[BaseException, Server], str]


def _always(predicate: str) -> Predicate:
    return lambda _error, _server: predicate


def _refuse_login(_error: BaseException, server: Server) -> str:
    return f"refuses the user or its password; correct {server.login}, or the user in Redis"


def _refuse_command(error: BaseException, _server: Server) -> str:
    return f"refuses a command: {_quote(str(error))}; grant its user the rights in docs/redis.md"


_NO_NODE: Final = "is a cluster in which some slots have no node; start their masters, or repair the cluster"

_PREDICATES: Final[tuple[tuple[type[BaseException], Predicate], ...]] = (
    (MasterUnknown, lambda error, _server: str(error)),
    (ssl.SSLCertVerificationError, _explain_certificate),
    (ssl.SSLError, _explain_tls),
    (NoPermissionError, _refuse_command),
    (AuthenticationError, _refuse_login),
    (AuthenticationWrongNumberOfArgsError, _refuse_login),
    (AuthorizationError, _refuse_login),
    (BusyLoadingError, _always("is starting and loads its data; this ends by itself")),
    (MaxConnectionsError, _always("has too many connections from this process")),
    (MovedError, _explain_moved),
    (ReadOnlyError, _always("is a replica; name the master in REDIS_URL, or its Sentinels")),
    (ClusterDownError, _always("is a cluster that is down: too few of its masters answer")),
    (SlotNotCoveredError, _always(_NO_NODE)),
    (OutOfMemoryError, _always("has no memory left; raise maxmemory, or let it evict keys")),
    (ResponseError, _explain_response),
    (OSError, _explain_os_error),
    (RedisTimeoutError, _explain_silence),
    (TimeoutError, _explain_silence),
    (RedisConnectionError, _explain_connection),
    (RuntimeError, _always("has closed the connection while it was used")),
)
"""What to say of an error. The innermost error is asked first, and the first that says something counts."""

_ARGUMENTS: Final = re.compile(r", with args beginning with: .*", re.DOTALL)


def _quote(text: str) -> str:
    """Return Redis's own words, short and on one line, without the arguments of a command, which may be secret."""
    plain = "".join(char if char.isprintable() else " " for char in _ARGUMENTS.sub("", text))
    return plain.strip().rstrip(".")[:MAX_ANSWER]
