"""`TokenHolderClient`: what the holder of an access token may do with it at the token authority."""

from typing import Final

from pollgate.client.authority_base import EFFECT_LIMIT_S, idempotency_headers, wait_query
from pollgate.client.authority_models import HeldToken, RotatedHeldToken
from pollgate.client.encoding import without_none
from pollgate.client.errors import if_outcome_unknown
from pollgate.client.transport import CALL_LIMIT_S, HttpClient, Transport
from pollgate.client.transport import Service as HttpService

AUTHORITY: Final = HttpService("token authority", "TokenHolderClient", "token", "http://127.0.0.1:8081")


class TokenHolderClient(HttpClient):
    """A client for the holder of a token. Use it as `async with TokenHolderClient(url, token) as client`.

    `url` is the root of the token authority. `token` (`pgt_…`) is sent in a header, never in a URL.
    """

    def __init__(self, url: str, token: str) -> None:
        self._transport = Transport(AUTHORITY, url, token)

    async def get(self) -> HeldToken:
        """Return the token, also if it does not work."""
        return await self._transport.call("GET", "/v1/token", HeldToken)

    async def rotate(
        self,
        *,
        idempotency_key: str,
        overlap_s: int | None = None,
        end_on_use: bool | None = None,
        wait: bool = True,
    ) -> RotatedHeldToken:
        """Create a new secret for the token and return it, this once. This client still uses the old one.

        The old one works for `overlap_s` more, an hour by default and a day at most; with `end_on_use` only until the
        new one is used. After `OutcomeUnknown`, repeat the call with the same `idempotency_key`. Raise `Forbidden` if
        the token does not allow it, `Conflict` if the old secret is not the newest.
        """
        with if_outcome_unknown("the token may have been rotated", is_repeatable=True):
            return await self._transport.call(
                "POST",
                "/v1/token/rotate",
                RotatedHeldToken,
                query=wait_query(wait),
                body=without_none({"overlap_s": overlap_s, "end_on_use": end_on_use}),
                headers=idempotency_headers(idempotency_key),
                limit_s=EFFECT_LIMIT_S if wait else CALL_LIMIT_S,
            )
