"""A typed client of the token authority's management API."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from pollgate.sentence import Sentence

CALL_LIMIT_S: Final = 10.0

T = TypeVar("T")


class Site(msgspec.Struct, frozen=True):
    """An installation of the polls app."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """An access token; `token`, its secret, only in the answer that makes it."""

    id: str
    name: str
    site: str
    scopes: list[str]
    hint: str
    status: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    token: str | None = None


class Revocation(msgspec.Struct, frozen=True):
    """When a token was revoked, and the number of that change in the log."""

    id: str
    revoked_at: datetime
    seq: int


class _Sites(msgspec.Struct):
    items: list[Site]


class _Tokens(msgspec.Struct):
    items: list[Token]
    next: str | None


class _Fault(msgspec.Struct):
    detail: str
    pointer: str = ""


class _Problem(msgspec.Struct):
    detail: str
    errors: list[_Fault] = []


class AuthorityClient:
    """Use as `async with AuthorityClient(url, admin_key) as authority`. Every call raises `Sentence` where it fails."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url.rstrip("/")
        self._admin_key = admin_key

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._admin_key}"}, timeout=aiohttp.ClientTimeout(total=CALL_LIMIT_S)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def sites(self) -> list[Site]:
        """Every site, the default one first."""
        return (await self._call("GET", "/v1/sites", _Sites)).items

    async def create_token(
        self, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None, site: str | None = None
    ) -> Token:
        """A new token, this once with its secret."""
        body = {"name": name, "scopes": list(scopes), "expires_at": expires_at, "site": site}
        return await self._call("POST", "/v1/tokens", Token, body=body)

    async def tokens(self) -> AsyncIterator[Token]:
        """Every token by name, page after page."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self._call("GET", "/v1/tokens", _Tokens, query={"cursor": cursor})
            for token in page.items:
                yield token
            cursor = page.next

    async def token(self, token_id: str) -> Token:
        """One token."""
        return await self._call("GET", f"/v1/tokens/{_segment(token_id)}", Token)

    async def revoke(self, token_id: str) -> Revocation:
        """End a token for good."""
        return await self._call("POST", f"/v1/tokens/{_segment(token_id)}/revoke", Revocation)

    async def _call(
        self, method: str, path: str, kind: type[T], *, query: dict[str, str] | None = None, body: Any = None
    ) -> T:
        encoded = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if encoded else {}
        try:
            async with self._session.request(
                method, self._url + path, params=query, data=encoded, headers=headers
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Sentence(
                f"the token authority at {self._url} does not answer ({type(error).__name__}); "
                "start it, or set TOKEN_AUTHORITY_URL"
            ) from None
        if answer.status >= 400:
            raise Sentence(_explain(answer.status, content))
        return msgspec.json.decode(content, type=kind)


def _segment(token_id: str) -> str:
    if not token_id.replace("_", "").isalnum():
        raise Sentence("that is not a token's id; `pollgate token list` shows them")
    return token_id


def _explain(status: int, content: bytes) -> str:
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except msgspec.MsgspecError:
        return f"the token authority answered {status}"
    faults = "".join(f"\n  {fault.pointer}: {fault.detail}" for fault in problem.errors)
    return f"the token authority answered {status}: {problem.detail}{faults}"
