"""A typed client of the token authority's management API."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pollgate.client.authority_models import (
    AdminKey,
    BulkRevocation,
    ChangedToken,
    Finding,
    IssuedToken,
    MadeAdminKey,
    MadeService,
    Page,
    Revocation,
    RotatedToken,
    Service,
    ServiceDetail,
    SigningKey,
    Site,
    Token,
    TokenDetail,
)
from pollgate.client.errors import Sentence
from pollgate.client.request_parts import each_page, given, query_of, segment
from pollgate.client.transport import CALL_LIMIT_S, NoAnswer, Server, Transport
from shared.contract.audit import AuditRecord

EFFECT_LIMIT_S: Final = 100.0
"""A revocation waits for guards that are cut off until their leases have run out, of up to 60 seconds."""
MAX_PAGE: Final = 200
AUTHORITY: Final = Server(
    *("token authority", "TOKEN_AUTHORITY_URL", "http://127.0.0.1:8081"), client="AuthorityClient(…) as authority"
)

T = TypeVar("T")


class AuthorityClient:
    """Use as `async with AuthorityClient(url, admin_key) as authority`. Every call raises `Sentence` where it fails.

    Conditions and fields are named as the API has them; those that are `None` are left out.
    """

    def __init__(self, url: str, admin_key: str) -> None:
        self._transport = Transport(AUTHORITY, url, admin_key)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def sites(self) -> list[Site]:
        """Every site, the default one first."""
        return (await self._transport.call("GET", "/v1/sites", Page[Site])).items

    async def create_token(self, name: str, scopes: Sequence[str], **fields: Any) -> IssuedToken:
        """A new token, this once with its secret."""
        body = {"name": name, "scopes": list(scopes), **given(fields)}
        return await self._made("/v1/tokens", IssuedToken, body)

    def tokens(self, limit: int | None = None, **conditions: Any) -> AsyncIterator[Token]:
        """The tokens that meet all the conditions, in the order of `sort`, page after page; up to `limit` of them."""
        return self._pages("/v1/tokens", Page[Token], conditions, limit)

    async def token(self, token_id: str) -> TokenDetail:
        """One token."""
        return await self._transport.call("GET", f"/v1/tokens/{_token(token_id)}", TokenDetail)

    async def change_token(self, token_id: str, fields: Mapping[str, Any], *, wait: bool = True) -> ChangedToken:
        """Give some fields of a token other values; here `None` is a value."""
        path = f"/v1/tokens/{_token(token_id)}"
        return await self._in_force("PATCH", path, ChangedToken, wait=wait, body=dict(fields))

    async def disable_token(self, token_id: str, reason: str | None, *, wait: bool = True) -> ChangedToken:
        """Have a token refused everywhere until it is enabled."""
        path, body = f"/v1/tokens/{_token(token_id)}/disable", given({"reason": reason})
        return await self._in_force("POST", path, ChangedToken, wait=wait, body=body)

    async def enable_token(self, token_id: str, *, wait: bool = True) -> ChangedToken:
        """Have a disabled token work again."""
        return await self._in_force("POST", f"/v1/tokens/{_token(token_id)}/enable", ChangedToken, wait=wait)

    async def rotate_token(
        self, token_id: str, rotation: Mapping[str, Any], key: str, *, wait: bool = True
    ) -> RotatedToken:
        """A new secret for a token. Under the same `key`, the request can be repeated where its answer was lost.

        `rotation` is of `overlap_s` and `end_on_use`. Raises `NoAnswer` where it is not known what has become of it.
        """
        path = f"/v1/tokens/{_token(token_id)}/rotate"
        return await self._transport.call(
            *("POST", path, RotatedToken),
            query=_waiting(wait),
            body=given(rotation),
            headers={"Idempotency-Key": key},
            limit_s=EFFECT_LIMIT_S if wait else CALL_LIMIT_S,
        )

    async def revoke(self, token_id: str, why: Mapping[str, Any], *, wait: bool = True) -> Revocation:
        """End a token for good; returns when that is in force everywhere, unless told not to wait.

        `why` is a `reason` and, where there is more to say, a `text`.
        """
        return await self._in_force("POST", f"/v1/tokens/{_token(token_id)}/revoke", Revocation, wait=wait, body=why)

    async def revoke_many(self, conditions: Mapping[str, Any], *, wait: bool = True) -> BulkRevocation:
        """End every token that meets all the conditions: `ids`, `owner`, `site`, `scope`, `status`, `issued_before`,
        `unused_since`; or, with `all`, every token. A `reason` is always given, and nothing ended with `dry_run`.
        """
        for token_id in conditions.get("ids", ()):
            _token(token_id)
        return await self._in_force("POST", "/v1/tokens/revoke", BulkRevocation, wait=wait, body=conditions)

    async def findings(self, kinds: Sequence[str], **conditions: Any) -> AsyncIterator[Finding]:
        """What a review of the tokens finds, of these kinds or of every kind, page after page."""
        for kind in kinds or (None,):
            async for finding in self._pages("/v1/tokens/review", Page[Finding], {"kind": kind, **conditions}):
                yield finding

    async def make_admin_key(self, name: str, role: str, **limits: Any) -> MadeAdminKey:
        """A new admin key, this once with its secret."""
        body = {"name": name, "role": role, **given(limits)}
        return await self._made("/v1/admin-keys", MadeAdminKey, body)

    async def admin_keys(self) -> list[AdminKey]:
        """Every admin key by name, revoked ones too."""
        return (await self._transport.call("GET", "/v1/admin-keys", Page[AdminKey])).items

    async def own_admin_key(self) -> AdminKey:
        """The one that this client uses."""
        return await self._transport.call("GET", "/v1/admin-keys/own", AdminKey)

    async def rotate_admin_key(self, key_id: str, overlap_s: int | None) -> MadeAdminKey:
        """A new secret for an admin key."""
        path, body = f"/v1/admin-keys/{_segment(key_id)}/rotate", given({"overlap_s": overlap_s})
        return await self._made(path, MadeAdminKey, body)

    async def revoke_admin_key(self, key_id: str) -> None:
        """End an admin key for good."""
        await self._transport.call("DELETE", f"/v1/admin-keys/{_segment(key_id)}", type(None))

    async def make_service(self, client_id: str, **fields: Any) -> MadeService:
        """A new service, this once with its secret if it has one."""
        body = {"client_id": client_id, **given(fields)}
        return await self._made("/v1/services", MadeService, body)

    async def services(self) -> list[Service]:
        """Every service by client id, disabled ones too."""
        return (await self._transport.call("GET", "/v1/services", Page[Service])).items

    async def service(self, client_id: str) -> ServiceDetail:
        """One service."""
        return await self._transport.call("GET", f"/v1/services/{_segment(client_id)}", ServiceDetail)

    async def change_service(self, client_id: str, fields: Mapping[str, Any]) -> Service:
        """Give some fields of a service other values; here `None` is a value."""
        return await self._transport.call("PATCH", f"/v1/services/{_segment(client_id)}", Service, body=dict(fields))

    async def rotate_service(self, client_id: str, overlap_s: int | None) -> MadeService:
        """A new secret for a service."""
        path, body = f"/v1/services/{_segment(client_id)}/rotate", given({"overlap_s": overlap_s})
        return await self._made(path, MadeService, body)

    async def enable_service(self, client_id: str, *, enabled: bool) -> Service:
        """Let a service introspect again, or no more."""
        action = "enable" if enabled else "disable"
        return await self._transport.call("POST", f"/v1/services/{_segment(client_id)}/{action}", Service)

    async def signing_keys(self) -> list[SigningKey]:
        """The keys that are published, in the order in which they sign."""
        return (await self._transport.call("GET", "/v1/keys", Page[SigningKey])).items

    async def rotate_signing_key(self) -> SigningKey:
        """A key that signs soon: a new one, unless one waits to already."""
        return await self._transport.call("POST", "/v1/keys/rotate", SigningKey)

    def audit(self, limit: int | None = None, **conditions: Any) -> AsyncIterator[AuditRecord]:
        """The records of the audit log that meet all the conditions, in order; up to `limit` of them."""
        return self._pages("/v1/audit", Page[AuditRecord], conditions, limit, behind="after")

    def audit_lines(self, **conditions: Any) -> AsyncGenerator[bytes, None]:
        """The same records as lines of JSON, as they come."""
        return self._transport.lines("/v1/audit/export", query_of(conditions))

    async def _made(self, path: str, kind: type[T], body: Any) -> T:
        try:
            return await self._transport.call("POST", path, kind, body=body)
        except NoAnswer as error:
            raise Sentence(f"{error}. It may be made all the same, with a secret that is lost: list it") from None

    async def _in_force(self, method: str, path: str, kind: type[T], *, wait: bool, body: Any = None) -> T:
        limit_s = EFFECT_LIMIT_S if wait or kind is BulkRevocation else CALL_LIMIT_S
        try:
            return await self._transport.call(method, path, kind, query=_waiting(wait), body=body, limit_s=limit_s)
        except NoAnswer as error:
            raise Sentence(f"{error}. It may be committed all the same: ask again") from None

    def _pages(
        self,
        path: str,
        kind: type[Page[T]],
        conditions: Mapping[str, Any],
        limit: int | None = None,
        behind: str = "cursor",
    ) -> AsyncIterator[T]:
        def read(query: Mapping[str, str]) -> Awaitable[Page[T]]:
            return self._transport.call("GET", path, kind, query=query)

        return each_page(read, conditions, limit, most=MAX_PAGE, behind=behind)


def _waiting(wait: bool) -> dict[str, str]:
    return {} if wait else {"wait": "false"}


def _token(token_id: str) -> str:
    segment = _segment(token_id)
    if not token_id.replace("_", "").isalnum():
        raise Sentence("that is not a token's id; `pollgate token list` shows them")
    return segment


def _segment(name: str) -> str:
    return segment(name, "the list commands, as `pollgate token list`")
