"""Stream tickets: how a browser's `EventSource`, which cannot send a header, opens a stream without a token in the URL.

A ticket is 256 random bits. It works once, for 30 seconds, for one path. Redis stores the token under the SHA-256 of
the ticket, encrypted with a key that is derived from the ticket, so a reader of Redis learns neither.
"""

import hashlib
import re
import secrets
from typing import Final, cast

from aiohttp import web

from shared.contract.presented_secret import trim_secret
from shared.contract.token import SECRET_PATTERN
from shared.guard.errors import QueryNotAllowed, TicketInvalid, TicketsUnavailable, TokenMissing, TokenTwice
from shared.guard.presentation import PRESENTED_TOKEN, PresentedToken, take_token
from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor
from shared.runtime.http.query import query_of
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable

TICKET_LIFE_S: Final = 30
TICKET_BYTES: Final = 32
TICKET_PATTERN: Final = re.compile(r"pge_[0-9a-f]{64}")
REDACTED_PATTERN: Final = re.compile(f"{SECRET_PATTERN.pattern}|{TICKET_PATTERN.pattern}")
"""What logs and problems of a guarded service must not contain: secrets and tickets."""

_PURPOSE: Final = "stream ticket"
_NONCE_BYTES: Final = 12


class StreamTickets:
    """The tickets of a service. All of its processes share them in Redis, under keys that begin with `prefix`."""

    def __init__(self, redis: RedisClient, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def issue(self, token: str, path: str) -> str:
        """Return a ticket with which a stream at `path` is opened as if `token` were sent.

        Letter case of the path does not matter. Raise `TicketsUnavailable` if Redis does not respond.
        """
        secret = secrets.token_bytes(TICKET_BYTES)
        encrypted = Encryptor([secret], _PURPOSE).encrypt(token.encode(), path.lower())
        try:
            await self._redis.send("SET", self._key(secret), b"".join(encrypted), "EX", TICKET_LIFE_S)
        except RedisUnavailable:
            raise TicketsUnavailable from None
        return f"pge_{secret.hex()}"

    async def redeem(self, ticket: str, path: str) -> str:
        """Return the token of a ticket, which no longer works after that.

        Raise `TicketInvalid` if the ticket is unknown, expired, used or for another path, and `TicketsUnavailable` if
        Redis does not respond.
        """
        if not TICKET_PATTERN.fullmatch(ticket):
            raise TicketInvalid
        secret = bytes.fromhex(ticket.removeprefix("pge_"))
        try:
            stored = cast(bytes | None, await self._redis.send("GETDEL", self._key(secret)))
        except RedisUnavailable:
            raise TicketsUnavailable from None
        if stored is None:
            raise TicketInvalid
        try:
            encrypted = Encrypted(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:])
            return Encryptor([secret], _PURPOSE).decrypt(encrypted, path.lower()).decode()
        except DecryptionError:
            raise TicketInvalid from None

    def _key(self, secret: bytes) -> str:
        return f"{self._prefix}:{hashlib.sha256(secret).hexdigest()}"


TICKETS: Final = web.AppKey("stream_tickets", StreamTickets)


async def issue_ticket(request: web.Request, path: str) -> str:
    """Return a ticket for a stream at `path` with the token of the request.

    Raise `QueryNotAllowed` if the token was sent in the URL, which a ticket is to avoid, and `TicketsUnavailable`.
    """
    presented = request[PRESENTED_TOKEN]
    if presented.is_in_query:
        raise QueryNotAllowed
    return await request.app[TICKETS].issue(presented.token, path)


async def take_token_or_ticket(request: web.Request) -> PresentedToken:
    """Return the token of a request, sent as itself or by `?ticket=…`, which is removed from the request's `Query`.

    Raise what `take_token` and `StreamTickets.redeem` raise.
    """
    try:
        presented = take_token(request)
    except TokenMissing:
        tickets = query_of(request).take("ticket")
        if not tickets:
            raise
        if len(tickets) > 1:
            raise TokenTwice from None
        return PresentedToken(
            await request.app[TICKETS].redeem(trim_secret(tickets[0]), request.path), is_in_query=False
        )
    if query_of(request).take("ticket"):
        raise TokenTwice
    return presented
