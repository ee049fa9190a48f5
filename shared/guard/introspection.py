"""Asks the token authority what a token grants (RFC 7662 §2.1), within a second or not at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import structlog

from shared.contract.introspection import Grant
from shared.guard.errors import GuardUnavailable
from shared.guard.settings import GuardSettings

INTROSPECTION_LIMIT_S: Final = 1.0
MAX_CONNECTIONS: Final = 32

_log = structlog.get_logger()


class Introspection:
    """A client of the authority's introspection endpoint; the instance is what a `Guard` calls."""

    def __init__(self, session: aiohttp.ClientSession, authority_url: str) -> None:
        self._session = session
        self._url = authority_url.rstrip("/") + "/oauth2/introspect"

    async def __call__(self, token: str) -> Grant | None:
        """The grant of an active token, else `None`. Raises `GuardUnavailable`."""
        try:
            try:
                return await self._ask(token)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection that the authority has closed meanwhile, as it does when it restarts.
                return await self._ask(token)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(type(error).__name__) from None

    async def ping(self) -> None:
        """Raises where the authority does not answer."""
        async with self._session.get(self._url.removesuffix("/oauth2/introspect") + "/livez") as answer:
            answer.raise_for_status()

    async def _ask(self, token: str) -> Grant | None:
        async with self._session.post(self._url, data={"token": token}, allow_redirects=False) as answer:
            if answer.status == 401:
                raise self._unavailable("it refuses our INTROSPECTION_CLIENT_ID and INTROSPECTION_CLIENT_SECRET")
            if answer.status != 200:
                raise self._unavailable(f"it answered {answer.status}")
            try:
                return Grant.read(await answer.read())
            except ValueError:
                raise self._unavailable("its answer is no introspection answer") from None

    def _unavailable(self, why: str) -> GuardUnavailable:
        _log.error("a token cannot be introspected", url=self._url, error=why)
        return GuardUnavailable(f"{self._url}: {why}")


@asynccontextmanager
async def introspection(settings: GuardSettings) -> AsyncGenerator[Introspection, None]:
    """An introspection client with its connections, closed at the end."""
    credential = aiohttp.encode_basic_auth(settings.introspection_client_id, settings.introspection_client_secret)
    async with aiohttp.ClientSession(
        headers={"Authorization": credential},
        timeout=aiohttp.ClientTimeout(total=INTROSPECTION_LIMIT_S),
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Introspection(session, settings.token_authority_url)
