"""The HTTP client of the token authority. A call that fails or times out raises `GuardUnavailable`."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from shared.contract.introspection import Grant
from shared.contract.restoration import RESTORED_SLUG, ChangesReport
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.guard.credential import Credential, KeyCredential, SecretCredential
from shared.guard.errors import AuthorityRestored, GuardUnavailable
from shared.guard.settings import GuardSettings
from shared.runtime.http.network_errors import explain
from shared.runtime.traces.current import current_traces

CALL_LIMIT_S: Final = 1.0
INTROSPECTION_CONNECTIONS: Final = 32
SYNC_CONNECTIONS: Final = 2
"""Syncs have their own connections, so that a flood of introspections does not delay them."""

_GUARD_PATH: Final = "/v1/guards/{guard_id}"
_SYNC_PATH: Final = "/v1/guards/{guard_id}/sync"

_NONE: Final[Mapping[str, str]] = {}

_log = structlog.get_logger()


class TokenAuthority:
    """Call one authority with the credential of one service."""

    def __init__(
        self, introspections: aiohttp.ClientSession, syncs: aiohttp.ClientSession, settings: GuardSettings
    ) -> None:
        self._introspections = introspections
        self._syncs = syncs
        self._url = settings.token_authority_url.rstrip("/")
        self._credential = self._credential_of(settings)
        self._issuer: str | None = None
        self._issuer_lock = asyncio.Lock()

    @property
    def url(self) -> str:
        """The base URL of the authority."""
        return self._url

    async def introspect(self, token: str) -> Grant | None:
        """Return the grant of an active token, or `None` if the token is not active (RFC 7662 §2.1)."""
        try:
            answer = await self._ask(self._introspections, "POST", "/oauth2/introspect", data={"token": token})
            return Grant.read(answer)
        except GuardUnavailable as error:
            _log.error("Token introspection failed", url=self._url, error=str(error))
            raise
        except (ValueError, RecursionError):
            raise GuardUnavailable(f"{self._url} sent an invalid introspection answer") from None

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer:
        """Report what the guard has applied; return the changes since, and a lease."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(request)
        path = f"/v1/guards/{guard_id}/sync"
        answer = await self._ask(self._syncs, "POST", path, data=body, headers=headers, template=_SYNC_PATH)
        try:
            return msgspec.json.decode(answer, type=SyncAnswer)
        except (ValueError, RecursionError):
            raise GuardUnavailable(f"{self._url} sent an invalid sync answer") from None

    async def report(self, guard_id: str, report: ChangesReport) -> None:
        """Report changes that the guard has applied, and that the authority's database may lack."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(report)
        await self._ask(self._syncs, "POST", f"/v1/guards/{guard_id}/changes", data=body, headers=headers)

    async def release(self, guard_id: str) -> None:
        """Give the lease back, so that no revocation waits for this guard."""
        await self._ask(self._syncs, "DELETE", f"/v1/guards/{guard_id}", template=_GUARD_PATH)

    async def signing_keys(self) -> bytes:
        """Return the JSON Web Key Set (RFC 7517 §5) of the keys that sign pushes."""
        return await self._call(self._syncs, "GET", "/.well-known/jwks.json")

    async def ping(self) -> None:
        """Raise `GuardUnavailable` if the authority does not answer."""
        await self._call(self._syncs, "GET", "/livez", template=None)

    def _credential_of(self, settings: GuardSettings) -> Credential:
        client_id, key = settings.introspection_client_id, settings.signing_key
        if key is None:
            return SecretCredential(client_id, settings.introspection_client_secret)
        return KeyCredential(client_id, key, self._fetch_issuer)

    async def _fetch_issuer(self) -> str:
        """Return the issuer of the authority (RFC 8414 §3); fetch it once, and again after a 401."""
        async with self._issuer_lock:
            if self._issuer is None:
                answer = await self._call(self._syncs, "GET", "/.well-known/oauth-authorization-server")
                self._issuer = _read_issuer(answer, self._url)
            return self._issuer

    async def _ask(self, session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> bytes:
        """Send a request with the credential of this service."""
        return await self._call(session, method, path, credential=self._credential, **options)

    async def _call(self, session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> bytes:
        try:
            try:
                return await self._send_once(session, method, path, **options)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # The authority closes idle connections when it restarts; one retry uses a new connection.
                return await self._send_once(session, method, path, **options)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise GuardUnavailable(f"{self._url} does not answer: {explain(error)}") from None

    async def _send_once(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        credential: Credential | None = None,
        headers: Mapping[str, str] = _NONE,
        template: str | None = "",
        **options: Any,
    ) -> bytes:
        if credential is not None:
            headers = {**headers, "Authorization": await credential.authorization()}
        async with session.request(
            method,
            self._url + path,
            allow_redirects=False,
            headers=headers,
            trace_request_ctx=path if template == "" else template,
            **options,
        ) as answer:
            if answer.status == 401:
                self._issuer = None
                raise GuardUnavailable(f"{self._url} refuses {self._credential.variables}")
            if answer.status == 503 and _is_restored(await answer.read()):
                raise AuthorityRestored(f"{self._url} has a restored database, and an operator has to finish that")
            if answer.status not in (200, 204):
                raise GuardUnavailable(f"{self._url} answered {answer.status}")
            return await answer.read()


@asynccontextmanager
async def token_authority(settings: GuardSettings) -> AsyncGenerator[TokenAuthority, None]:
    """Open a client; close its connections at the end of the block."""
    async with _session(INTROSPECTION_CONNECTIONS) as introspections, _session(SYNC_CONNECTIONS) as syncs:
        yield TokenAuthority(introspections, syncs, settings)


class _Metadata(msgspec.Struct):
    issuer: str


class _ProblemType(msgspec.Struct):
    type: str = ""


def _is_restored(body: bytes) -> bool:
    """Return whether a problem says that the authority's database was restored."""
    try:
        return msgspec.json.decode(body, type=_ProblemType).type.endswith(f"/{RESTORED_SLUG}")
    except (ValueError, RecursionError):
        return False


def _read_issuer(metadata: bytes, url: str) -> str:
    try:
        return msgspec.json.decode(metadata, type=_Metadata).issuer
    except (ValueError, RecursionError):
        raise GuardUnavailable(f"{url} sent metadata that cannot be read") from None


def _session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_LIMIT_S),
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=current_traces().trace_calls(),
    )
