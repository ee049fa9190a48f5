"""A typed client of the token authority's management API."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from pollgate.sentence import Sentence
from shared.contract.token import ACCESS_TOKEN

CALL_LIMIT_S: Final = 10.0
REVOCATION_LIMIT_S: Final = 100.0
"""A revocation waits for guards that are cut off until their leases have run out, of up to 60 seconds."""

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
    owner: str | None = None
    token: str | None = None


class Guards(msgspec.Struct, frozen=True):
    """How many guards have confirmed a revocation, and how many have run out of their lease instead."""

    confirmed: int
    expired: int


class Revocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A revocation: in force everywhere where it is `effective`, else from `effective_by` on."""

    revoked_at: datetime
    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: Guards | None = None
    effective_by: datetime | None = None


class BulkRevocation(msgspec.Struct, frozen=True):
    """How many tokens were revoked, how many had been, which ids named none, and the revocation of them all."""

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: Revocation | None


class SigningKey(msgspec.Struct, frozen=True):
    """A key that the authority signs with, did or will: `state` is next, signing or retired. `published_until` is
    `None` until another is to take its place.
    """

    kid: str
    state: str
    created_at: datetime
    signs_from: datetime
    published_until: datetime | None


class _Sites(msgspec.Struct):
    items: list[Site]


class _Tokens(msgspec.Struct):
    items: list[Token]
    next: str | None


class _SigningKeys(msgspec.Struct):
    items: list[SigningKey]


class _Fault(msgspec.Struct):
    detail: str
    pointer: str = ""


class _Problem(msgspec.Struct):
    detail: str
    errors: list[_Fault] = []


class NoAnswer(Sentence):
    """The authority does not answer, or the answer was lost."""


class AuthorityClient:
    """Use as `async with AuthorityClient(url, admin_key) as authority`. Every call raises `Sentence` where it fails."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url.rstrip("/")
        self._admin_key = admin_key

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._admin_key}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def sites(self) -> list[Site]:
        """Every site, the default one first."""
        return (await self._call("GET", "/v1/sites", _Sites)).items

    async def create_token(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_at: datetime | None = None,
        site: str | None = None,
        owner: str | None = None,
    ) -> Token:
        """A new token, this once with its secret."""
        body = {"name": name, "scopes": list(scopes), "expires_at": expires_at, "site": site, "owner": owner}
        return await self._call("POST", "/v1/tokens", Token, body=body)

    async def tokens(self) -> AsyncIterator[Token]:
        """Every token by name, page after page."""
        query: dict[str, str] | None = {}
        while query is not None:
            page = await self._call("GET", "/v1/tokens", _Tokens, query=query)
            for token in page.items:
                yield token
            query = {"cursor": page.next} if page.next else None

    async def token(self, token_id: str) -> Token:
        """One token."""
        return await self._call("GET", f"/v1/tokens/{_segment(token_id)}", Token)

    async def revoke(self, token_id: str, why: Mapping[str, Any], *, wait: bool = True) -> Revocation:
        """End a token for good; returns when that is in force everywhere, unless told not to wait.

        `why` is a `reason` and, where there is more to say, a `text`.
        """
        return await self._revoke(f"/v1/tokens/{_segment(token_id)}/revoke", Revocation, wait=wait, body=why)

    async def revoke_many(self, conditions: Mapping[str, Any], *, wait: bool = True) -> BulkRevocation:
        """End every token that meets all the conditions: `ids`, `owner`, `site`, `scope`, `status`, `issued_before`,
        `unused_since`; or, with `all`, every token. A `reason` is always given, and nothing ended with `dry_run`.
        """
        for token_id in conditions.get("ids", ()):
            _segment(token_id)
        return await self._revoke("/v1/tokens/revoke", BulkRevocation, wait=wait, body=conditions)

    async def signing_keys(self) -> list[SigningKey]:
        """The keys that are published, in the order in which they sign."""
        return (await self._call("GET", "/v1/keys", _SigningKeys)).items

    async def rotate_signing_key(self) -> SigningKey:
        """A key that signs soon: a new one, unless one waits to already."""
        return await self._call("POST", "/v1/keys/rotate", SigningKey)

    async def _revoke(self, path: str, kind: type[T], *, wait: bool, body: Any = None) -> T:
        try:
            return await self._call(
                *("POST", path, kind),
                query={} if wait else {"wait": "false"},
                body=body,
                limit_s=REVOCATION_LIMIT_S,
            )
        except NoAnswer as error:
            raise Sentence(f"{error}. The revocation may be committed all the same: ask again") from None

    async def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        limit_s: float = CALL_LIMIT_S,
    ) -> T:
        encoded = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if encoded else {}
        try:
            async with self._session.request(
                *(method, self._url + path),
                params=query,
                data=encoded,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit_s),
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(
                f"the token authority at {self._url} does not answer ({type(error).__name__}); "
                "start it, or set TOKEN_AUTHORITY_URL"
            ) from None
        if answer.status >= 400:
            raise Sentence(_explain(answer.status, content))
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError:
            raise Sentence(
                f"what answers at {self._url} is not this release's token authority; check TOKEN_AUTHORITY_URL"
            ) from None


def _segment(token_id: str) -> str:
    if token_id.startswith(ACCESS_TOKEN):
        raise Sentence("that is a token's secret, not its id, tok_…; `pollgate token list` shows the ids")
    if not token_id.replace("_", "").isalnum():
        raise Sentence("that is not a token's id; `pollgate token list` shows them")
    return token_id


def _explain(status: int, content: bytes) -> str:
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except msgspec.MsgspecError:
        return f"the token authority answered {status}"
    faults = [f"{fault.pointer}: {fault.detail}" if fault.pointer else fault.detail for fault in problem.errors]
    told = faults if problem.detail in (fault.detail for fault in problem.errors) else [problem.detail, *faults]
    return f"the token authority answered {status}: " + "\n  ".join(told)
