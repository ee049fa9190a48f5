"""The methods of `AuthorityClient` that concern access tokens."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pollgate.client.arguments import optional_text_list, text_list
from pollgate.client.authority_base import EFFECT_LIMIT_S, AuthorityBase, idempotency_headers, wait_query
from pollgate.client.authority_models import (
    BulkRevocation,
    ChangedToken,
    Finding,
    FoundToken,
    IssuedToken,
    KeptFinding,
    ReviewCompletion,
    ReviewStatus,
    Revocation,
    RotatedToken,
    Token,
    TokenDetail,
)
from pollgate.client.encoding import path_segment, without_none
from pollgate.client.errors import InvalidArgument, if_outcome_unknown
from pollgate.client.pagination import Page
from pollgate.client.transport import CALL_LIMIT_S

TokenStatus = Literal["active", "expiring", "disabled", "expired", "revoked", "alive"]
TokenSort = Literal["name", "owner", "site", "created_at", "expires_at", "last_used_at"]
RevocationReason = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]


class TokenMethods(AuthorityBase):
    """Create, find, change, rotate, revoke and review access tokens."""

    async def create_token(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        description: str | None = None,
        owner: str | None = None,
        site: str | None = None,
        expires_at: datetime | None = None,
        expires_in: int | str | None = None,
        allow_query: bool | None = None,
        allowed_ips: Sequence[str] | None = None,
        rate_limit: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        self_rotation: bool | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedToken:
        """Create a token and return it with its secret, which is not shown again.

        `site` is a site's id, by default that of the default site. `expires_in` is in seconds, a duration such as
        `90d` or `P90D`, or `never`; a token without an expiry works until it is revoked. `rate_limit` is in requests
        per minute. With `self_rotation` the holder may rotate it.

        After `OutcomeUnknown`, repeat the call with the same `idempotency_key`: it creates nothing, and returns a new
        secret instead of the lost one. Raise `UnprocessableContent` if the key was used for another call, `Conflict`
        if the secret is in use.
        """
        body = {
            "name": name,
            "scopes": text_list("scopes", scopes),
            "description": description,
            "owner": owner,
            "site": site,
            "expires_at": expires_at,
            "expires_in": expires_in,
            "allow_query": allow_query,
            "allowed_ips": optional_text_list("allowed_ips", allowed_ips),
            "rate_limit": rate_limit,
            "metadata": metadata,
            "self_rotation": self_rotation,
        }
        return await self._create("/v1/tokens", IssuedToken, without_none(body), idempotency_key)

    def list_tokens(
        self,
        limit: int | None = None,
        *,
        search: str | None = None,
        status: TokenStatus | Sequence[TokenStatus] | None = None,
        owner: str | None = None,
        site: str | None = None,
        scope: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        used_after: datetime | None = None,
        unused_since: datetime | None = None,
        expires_after: datetime | None = None,
        expires_before: datetime | None = None,
        sort: TokenSort | None = None,
        descending: bool | None = None,
    ) -> AsyncIterator[Token]:
        """Yield the tokens that meet all conditions, ordered by `sort`, page by page; `limit` of them at most.

        `search` is a part of the name, description or owner, a whole id, or the last four characters of a secret. With
        several statuses, a token has one of them; one that is `alive` is neither revoked nor expired. `scope` finds
        tokens whose scopes overlap with it. `…_after` includes the time itself; `unused_since` includes tokens that
        were never used.
        """
        conditions = {
            "search": search,
            "status": _statuses(status),
            "owner": owner,
            "site": site,
            "scope": scope,
            "created_after": created_after,
            "created_before": created_before,
            "used_after": used_after,
            "unused_since": unused_since,
            "expires_after": expires_after,
            "expires_before": expires_before,
            "sort": sort,
            "descending": descending,
        }
        return self._pages("/v1/tokens", Page[Token], conditions, limit)

    async def get_token(self, token_id: str) -> TokenDetail:
        """Return a token with what is known of its secrets and its use per day."""
        return await self._transport.call("GET", _token_path(token_id), TokenDetail)

    async def find_token(self, secret: str) -> FoundToken:
        """Return the token of a secret (`pgt_…`), which is sent in the body, and whether the secret still works.

        This is no use of the token. Raise `NotFound` for a secret of none that the admin key sees.
        """
        return await self._transport.call("POST", "/v1/tokens/find", FoundToken, body={"token": secret})

    async def change_token(self, token_id: str, fields: Mapping[str, Any], *, wait: bool = True) -> ChangedToken:
        """Change some fields of a token; here `None` is a value. What a token may do can only become less."""
        return await self._change("PATCH", _token_path(token_id), ChangedToken, wait=wait, body=fields, named="fields")

    async def disable_token(self, token_id: str, reason: str | None = None, *, wait: bool = True) -> ChangedToken:
        """Have a token refused everywhere until it is enabled again. Raise `Conflict` for one that has ended."""
        path, body = f"{_token_path(token_id)}/disable", without_none({"reason": reason})
        return await self._change("POST", path, ChangedToken, wait=wait, body=body)

    async def enable_token(self, token_id: str, *, wait: bool = True) -> ChangedToken:
        """Have a disabled token accepted again. Raise `Conflict` for one that has ended."""
        return await self._change("POST", f"{_token_path(token_id)}/enable", ChangedToken, wait=wait)

    async def rotate_token(
        self,
        token_id: str,
        *,
        idempotency_key: str,
        overlap_s: int | None = None,
        end_on_use: bool | None = None,
        expires_at: datetime | None = None,
        expires_in: int | str | None = None,
        wait: bool = True,
    ) -> RotatedToken:
        """Create a new secret for a token and return it, this once.

        The secrets before it work for `overlap_s` more, an hour by default; with `end_on_use` only until the new one
        is used. `expires_at` or `expires_in` renews the token, also an expired one. After `OutcomeUnknown`, repeat the
        call with the same `idempotency_key` to get the same rotation. Raise `UnprocessableContent` if the key was used
        for another rotation, `Conflict` if too many secrets work.
        """
        body = {
            "overlap_s": overlap_s,
            "end_on_use": end_on_use,
            "expires_at": expires_at,
            "expires_in": expires_in,
        }
        with if_outcome_unknown("the token may have been rotated", is_repeatable=True):
            return await self._transport.call(
                "POST",
                f"{_token_path(token_id)}/rotate",
                RotatedToken,
                query=wait_query(wait),
                body=without_none(body),
                headers=idempotency_headers(idempotency_key),
                limit_s=EFFECT_LIMIT_S if wait else CALL_LIMIT_S,
            )

    async def revoke_token(
        self, token_id: str, reason: RevocationReason, text: str | None = None, *, wait: bool = True
    ) -> Revocation:
        """Revoke a token permanently. The reason `other` requires a `text`. Repeating the call is harmless."""
        body = without_none({"reason": reason, "text": text})
        return await self._change("POST", f"{_token_path(token_id)}/revoke", Revocation, wait=wait, body=body)

    async def revoke_tokens(
        self,
        reason: RevocationReason,
        text: str | None = None,
        *,
        ids: Sequence[str] | None = None,
        owner: str | None = None,
        site: str | None = None,
        scope: str | None = None,
        status: TokenStatus | Sequence[TokenStatus] | None = None,
        search: str | None = None,
        issued_before: datetime | None = None,
        unused_since: datetime | None = None,
        all: bool | None = None,  # noqa: A002 - as the API names it
        dry_run: bool | None = None,
        wait: bool = True,
    ) -> BulkRevocation:
        """Revoke the tokens that meet all conditions permanently, or with `all` every token.

        With `dry_run` nothing is changed, and the result says how many tokens it would revoke.
        """
        listed = optional_text_list("ids", ids)
        for number, token_id in enumerate(listed or ()):
            _token_path(token_id, f"ids[{number}]")
        body = {
            "reason": reason,
            "text": text,
            "ids": listed,
            "owner": owner,
            "site": site,
            "scope": scope,
            "status": _statuses(status),
            "search": search,
            "issued_before": issued_before,
            "unused_since": unused_since,
            "all": all,
            "dry_run": dry_run,
        }
        return await self._change("POST", "/v1/tokens/revoke", BulkRevocation, wait=wait, body=without_none(body))

    def review_tokens(
        self,
        kinds: Sequence[str] = (),
        *,
        search: str | None = None,
        unused_days: int | None = None,
        expiring_days: int | None = None,
        include_kept: bool | None = None,
    ) -> AsyncIterator[Finding]:
        """Yield the findings of a review of the tokens, of these kinds or of all, page by page.

        `search` limits it to some tokens, as in `list_tokens`.
        A token is unused after `unused_days` (90), and expiring when it ends within `expiring_days` (7). Findings that
        an administrator keeps are left out unless `include_kept` is true.
        """
        conditions = {"kind": text_list("kinds", kinds), "search": search, "include_kept": include_kept}
        days = {"unused_days": unused_days, "expiring_days": expiring_days}
        return self._pages("/v1/tokens/review", Page[Finding], {**conditions, **days})

    async def keep_finding(self, token_id: str, kind: str, days: int | None = None) -> KeptFinding:
        """Leave a finding of a token out of reviews for these days, 90 by default, counted from now.

        Raise `Conflict` for a token that has ended.
        """
        body = {"kind": kind, **without_none({"days": days})}
        return await self._transport.call("POST", f"{_token_path(token_id)}/keep", KeptFinding, body=body)

    async def complete_review(self) -> ReviewCompletion:
        """Record that you have completed a review of the tokens."""
        return await self._transport.call("POST", "/v1/tokens/review/complete", ReviewCompletion)

    async def get_last_completed_review(self) -> ReviewCompletion | None:
        """Return when a review of the tokens was last completed; `None` if never."""
        query = {"limit": "1"}
        status = await self._transport.call("GET", "/v1/tokens/review", ReviewStatus, query=query)
        return status.last_completed


def _statuses(status: TokenStatus | Sequence[TokenStatus] | None) -> list[str] | None:
    return [status] if isinstance(status, str) else optional_text_list("status", status)


def _token_path(token_id: str, argument: str = "token_id") -> str:
    segment = path_segment(argument, token_id)
    if not token_id.replace("_", "").isalnum():
        raise InvalidArgument(argument, "this is not an id")
    return f"/v1/tokens/{segment}"
