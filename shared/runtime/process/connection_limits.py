"""Limit connections: their number, that of one address, and the time for the headers of a request.

aiohttp closes a connection that is idle between two requests, but waits as long for headers that arrive byte by byte. A
client could hold many connections in this way, and with them all file descriptors of the process.
"""

import asyncio
import resource
from typing import Annotated, Any, Final, cast

import msgspec
import structlog
from aiohttp.web_protocol import RequestHandler
from msgspec import Meta, Struct
from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.runtime.http.address import network_of, read_address
from shared.runtime.http.problem import PROBLEM_JSON, Problem, problem_document
from shared.runtime.http.problem_types import REQUEST_TIMEOUT
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.recent_keys import RecentKeys

RESERVED_FILES: Final = 200
"""File descriptors that connections leave: for PostgreSQL, Redis, other services, files and the event loop."""
MAX_LOOKS: Final = 100
"""How many connections with requests are looked at to find an idle one."""
WARNED_S: Final = 60.0
MAX_WARNED: Final = 1000
"""A warning is repeated after this many seconds, and for up to this many addresses."""

_log = structlog.get_logger()


MAX_CONNECTIONS: Final = 4000
MaxConnections = Annotated[
    int,
    Meta(
        ge=8,
        le=1_000_000,
        description="open connections per process, beyond which new ones are closed; without a trusted proxy in front, "
        "an eighth of them may come from one address",
    ),
]
"""The setting `MAX_CONNECTIONS`."""


class ConnectionLimits(Struct, frozen=True):
    """The limits of one process.

    The headers of a request have to arrive within `header_limit_s`: of the first one on a connection from its start, of
    others from their first byte. At most `total` connections are open, and `per_address` of them from one address (of
    IPv6, from one /64), or `None` for any number, because all come from a proxy.
    """

    header_limit_s: float = 10.0
    total: int = MAX_CONNECTIONS
    per_address: int | None = 500

    @classmethod
    def of(cls, total: int, proxy_hops: int) -> "ConnectionLimits":
        """Return limits for up to `total` connections, an eighth from one address without a proxy in front.

        Raise the process's limit of open files as far as needed, and lower `total` to what it then allows.
        """
        allowed = _raise_file_limit(total + RESERVED_FILES) - RESERVED_FILES
        if allowed < total:
            _log.warning("the limit of open files is too low for MAX_CONNECTIONS", limit=allowed + RESERVED_FILES)
        total = max(1, min(total, allowed))
        return cls(total=total, per_address=None if proxy_hops else max(1, total // 8))


def _raise_file_limit(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted`, if the hard one allows it. Return the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted if soft == unlimited else soft
    raised = wanted if hard == unlimited else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # more than the system allows
        return soft
    return raised


class OpenConnections:
    """The open connections of one process. Create one instance per listening application."""

    def __init__(self, limits: ConnectionLimits, registry: CollectorRegistry | None = None) -> None:
        self.header_limit_s = limits.header_limit_s
        self._limits = limits
        self._open = 0
        self._by_address: dict[str, int] = {}
        self._without_request: dict[LimitedConnection, None] = {}
        """Connections on which no complete request has arrived, the oldest one first."""
        self._with_request: dict[LimitedConnection, None] = {}
        """The others, in the order of their last requests."""
        self._warned = RecentKeys(MAX_WARNED, WARNED_S, elapsed_s)
        self._gauge = Gauge("pollgate_connections", "Open connections", registry=registry, multiprocess_mode="livesum")
        self._closed = Counter(
            "pollgate_connections_refused",
            "Connections that were closed: for slow headers, for too many of one address, and for too many in all",
            ["why"],
            registry=registry,
        )

    def admit(self, connection: "LimitedConnection", address: str) -> bool:
        """Count a new connection. Return false if it has to be closed.

        If too many are open, close another one instead: the oldest one on which no request has arrived, or else the one
        that is idle for longest.
        """
        limit = self._limits.per_address
        if limit is not None and self._by_address.get(address, 0) >= limit:
            self.note_closed("address", address)
            return False
        if self._open >= self._limits.total:
            self.note_closed("total", address)
            other = next(iter(self._without_request), None) or self._find_idle()
            if other is None:
                return False
            other.abort()
        self._open += 1
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self._without_request[connection] = None
        self._gauge.set(self._open)
        return True

    def note_request(self, connection: "LimitedConnection") -> None:
        """Remember that a request has arrived."""
        self._without_request.pop(connection, None)
        self._with_request.pop(connection, None)
        self._with_request[connection] = None

    def remove(self, connection: "LimitedConnection", address: str) -> None:
        """Stop counting an admitted connection."""
        self._without_request.pop(connection, None)
        self._with_request.pop(connection, None)
        self._open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        self._gauge.set(self._open)

    def _find_idle(self) -> "LimitedConnection | None":
        """Return the connection that is idle for longest; `None` if a request runs on each that was looked at."""
        for _ in range(min(MAX_LOOKS, len(self._with_request))):
            connection = next(iter(self._with_request))
            if connection.is_idle:
                return connection
            self.note_request(connection)  # it still runs, as a stream does
        return None

    def note_closed(self, why: str, address: str) -> None:
        """Count a connection that is closed because of a limit, and log it once per minute and address."""
        self._closed.labels(why).inc()
        key = f"{why} {address}"
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(_WARNINGS[why], address=address)


_WARNINGS: Final = {
    "headers": "connection closed: the headers of a request did not arrive in time",
    "address": "connection refused: too many from this address; MAX_CONNECTIONS sets the limit",
    "total": "connection refused, or another one closed for it: too many are open; MAX_CONNECTIONS sets the limit",
}


class LimitedConnection(RequestHandler):
    """A connection within limits."""

    __slots__ = ("_address", "_connections", "_header_timer", "_is_admitted", "_is_receiving")

    def __init__(self, server: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._header_timer: asyncio.TimerHandle | None = None
        self._address = ""
        self._is_admitted = False
        self._is_receiving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._address = network_of(read_address(peer[0])) if isinstance(peer, tuple) else "unknown"
        self._is_admitted = self._connections.admit(self, self._address)
        if self._is_admitted:
            super().connection_made(transport)
            self._start_header_timer()
        else:
            self._force_close = True  # ignores what is received
            cast(asyncio.Transport, transport).abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_header_timer()
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        requests = self._request_count
        super().data_received(data)
        if self._request_count != requests:
            self._is_receiving = False
            self._stop_header_timer()
            if self._is_admitted:
                self._connections.note_request(self)
        elif data and self._awaits_request():
            self._is_receiving = True
            if self._header_timer is None:
                self._start_header_timer()

    @property
    def is_idle(self) -> bool:
        """Whether no request has arrived, in part or whole, since the last response was sent."""
        return self.awaits_next_request and not self._is_receiving

    @property
    def awaits_next_request(self) -> bool:
        """Whether no request runs or waits, and the last response is sent. Part of another request may have arrived."""
        is_sent = self.transport is None or not self.transport.get_write_buffer_size()
        return self._awaits_request() and not self._messages and is_sent

    def abort(self) -> None:
        """Close the connection at once, and leave the place to another one."""
        self._leave()
        if self.transport is not None:
            self.transport.abort()

    def _leave(self) -> None:
        if self._is_admitted:
            self._is_admitted = False
            self._connections.remove(self, self._address)

    def _awaits_request(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _start_header_timer(self) -> None:
        self._header_timer = self._loop.call_later(self._connections.header_limit_s, self._end_slow_headers)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _end_slow_headers(self) -> None:
        self._header_timer = None
        self._connections.note_closed("headers", self._address)
        transport = self.transport
        if self._is_receiving and transport is not None:
            transport.write(_too_slow(self._connections.header_limit_s))
            if transport.get_write_buffer_size():  # the client does not read
                transport.abort()
        self.force_close()


def _too_slow(limit_s: float) -> bytes:
    """Return the response to a request whose headers are incomplete (RFC 9110 §15.5.9)."""
    problem = Problem(REQUEST_TIMEOUT, f"The headers did not arrive within {limit_s:g} seconds.")
    body = msgspec.json.encode(problem_document(problem))
    head = f"HTTP/1.1 408 Request Timeout\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Cache-Control: no-store\r\nConnection: close\r\n\r\n" + body
