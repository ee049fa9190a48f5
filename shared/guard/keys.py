"""The authority's public keys, by which a guard verifies pushes. Write access to Redis is not enough to forge one."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import jwt
import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from shared.contract.change import SET_AUDIENCE, SET_TYPE, SIGNATURE_ALGORITHM, PushClaims
from shared.guard.errors import GuardUnavailable

UNKNOWN_KEY_RETRY_S: Final = 1.0
"""The pause after a key that the authority does not have, so that pushes with made-up keys cause few requests."""
KEY_LIFE_S: Final = 300.0
"""How long a key is trusted before the guard asks again whether the authority still has it."""


class InvalidPush(Exception):
    """A message on Redis is not a push that the authority has signed."""


class KeyRing:
    """Cache the authority's keys. Fetch them again for a push that is signed with an unknown key.

    `fetch` returns a JSON Web Key Set (RFC 7517 §5) or raises `GuardUnavailable`.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._missed_at = float("-inf")

    async def refresh(self) -> None:
        """Fetch the authority's current keys; keep the known ones if it does not answer."""
        self._fetched_at = self._clock()
        with suppress(GuardUnavailable):
            self._keys = _read_keys(await self._fetch())

    async def verify(self, push: bytes) -> PushClaims:
        """Return the claims of a push (RFC 8417). Raise `InvalidPush` unless the authority has signed it."""
        try:
            return await self._verify_signature(push)
        except InvalidPush:
            raise
        except Exception as error:  # noqa: BLE001 - anything may have been written to Redis
            raise InvalidPush(type(error).__name__) from None

    async def _verify_signature(self, push: bytes) -> PushClaims:
        header = jwt.get_unverified_header(push)
        kid = header.get("kid")
        if header.get("typ") != SET_TYPE or not isinstance(kid, str):
            raise InvalidPush("not a security event token with a key id")
        claims = jwt.decode(
            push,
            await self._key(kid),
            algorithms=[SIGNATURE_ALGORITHM],
            audience=SET_AUDIENCE,
            # `seq` orders changes; the wall clocks of two machines are not compared.
            options={"require": ["iss", "aud", "iat", "jti", "events"], "verify_iat": False},
        )
        return msgspec.convert(claims, PushClaims)

    async def _key(self, kid: str) -> PyJWK:
        last, pause_s = (self._fetched_at, KEY_LIFE_S) if kid in self._keys else (self._missed_at, UNKNOWN_KEY_RETRY_S)
        if self._clock() - last >= pause_s:
            await self.refresh()
            if kid not in self._keys:
                self._missed_at = self._clock()
        key = self._keys.get(kid)
        if key is None:
            raise InvalidPush("the authority has no such key")
        return key


class _KeySet(msgspec.Struct):
    keys: list[dict[str, str]]


def _read_keys(document: bytes) -> dict[str, PyJWK]:
    try:
        keys = msgspec.json.decode(document, type=_KeySet).keys
        usable = (key for key in keys if (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519") and "kid" in key)
        return {key["kid"]: PyJWK(key, SIGNATURE_ALGORITHM) for key in usable}
    except (ValueError, RecursionError, PyJWTError) as error:
        raise GuardUnavailable(f"the authority sent a key set that cannot be read: {type(error).__name__}") from None
