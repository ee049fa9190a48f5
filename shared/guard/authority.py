"""The token authority as a guard asks it over HTTP: each call within its time, or `GuardUnavailable`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from shared.contract.introspection import Grant
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.guard.errors import GuardUnavailable
from shared.guard.settings import GuardSettings

CALL_LIMIT_S: Final = 1.0
MAX_INTROSPECTIONS: Final = 32
MAX_SYNCS: Final = 2
"""Syncs have connections of their own, so that a flood of introspections does not hold them up."""

_log = structlog.get_logger()


class TokenAuthority:
    """A client of one authority, as one service."""

    def __init__(self, introspections: aiohttp.ClientSession, syncs: aiohttp.ClientSession, url: str) -> None:
        self._introspections = introspections
        self._syncs = syncs
        self._url = url.rstrip("/")

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self._url

    async def introspect(self, token: str) -> Grant | None:
        """The grant of an active token, else `None` (RFC 7662 §2.1)."""
        try:
            answer = await self._call(self._introspections, "POST", "/oauth2/introspect", data={"token": token})
            return Grant.read(answer)
        except GuardUnavailable as error:
            _log.error("a token cannot be introspected", url=self._url, error=str(error))
            raise
        except (ValueError, RecursionError):
            raise GuardUnavailable(f"{self._url}: its answer is no introspection answer") from None

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer:
        """Tell what is applied; what has changed since, and a lease."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(request)
        answer = await self._call(self._syncs, "POST", f"/v1/guards/{guard_id}/sync", data=body, headers=headers)
        try:
            return msgspec.json.decode(answer, type=SyncAnswer)
        except (ValueError, RecursionError):
            raise GuardUnavailable(f"{self._url}: its answer is no sync answer") from None

    async def release(self, guard_id: str) -> None:
        """Give the lease back."""
        await self._call(self._syncs, "DELETE", f"/v1/guards/{guard_id}")

    async def signing_keys(self) -> bytes:
        """The JSON Web Key Set (RFC 7517 §5) of the keys that sign pushes."""
        return await self._call(self._syncs, "GET", "/.well-known/jwks.json")

    async def ping(self) -> None:
        """Raises `GuardUnavailable` where the authority does not answer."""
        await self._call(self._syncs, "GET", "/livez")

    async def _call(self, session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> bytes:
        try:
            try:
                return await self._once(session, method, path, **options)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection that the authority has closed meanwhile, as it does when it restarts.
                return await self._once(session, method, path, **options)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise GuardUnavailable(f"{self._url}: {type(error).__name__}") from None

    async def _once(self, session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> bytes:
        async with session.request(method, self._url + path, allow_redirects=False, **options) as answer:
            if answer.status == 401:
                refused = "it refuses our INTROSPECTION_CLIENT_ID and INTROSPECTION_CLIENT_SECRET"
                raise GuardUnavailable(f"{self._url}: {refused}")
            if answer.status not in (200, 204):
                raise GuardUnavailable(f"{self._url}: it answered {answer.status}")
            return await answer.read()


@asynccontextmanager
async def token_authority(settings: GuardSettings) -> AsyncGenerator[TokenAuthority, None]:
    """A client with its connections, closed at the end."""
    async with _session(settings, MAX_INTROSPECTIONS) as introspections, _session(settings, MAX_SYNCS) as syncs:
        yield TokenAuthority(introspections, syncs, settings.token_authority_url)


def _session(settings: GuardSettings, connections: int) -> aiohttp.ClientSession:
    credential = aiohttp.encode_basic_auth(settings.introspection_client_id, settings.introspection_client_secret)
    return aiohttp.ClientSession(
        headers={"Authorization": credential},
        timeout=aiohttp.ClientTimeout(total=CALL_LIMIT_S),
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
