"""A guard accepts a message on Redis only if a key of the authority has signed it."""

import base64
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.contract.change import CHANGES_EVENT, SET_AUDIENCE, SET_TYPE
from shared.guard.errors import GuardUnavailable
from shared.guard.keys import KEY_LIFE_S, UNKNOWN_KEY_RETRY_S, InvalidPush, KeyRing

CLAIMS: dict[str, Any] = {
    "iss": "https://authority.example",
    "aud": SET_AUDIENCE,
    "iat": 1_800_000_000,
    "jti": "1",
    "toe_ms": 1_800_000_000_000,
    "events": {
        CHANGES_EVENT: {"changes": [{"seq": 1, "kind": "revoked", "token_id": "tok_1", "digest": "00" * 32}]},
    },
}


class Issuer:
    """An authority with a key set, and a clock of the test."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.fetches = 0
        self.away = False
        self.time = 1000.0
        self.ring = KeyRing(self._fetch, lambda: self.time)
        self.add("one")

    def add(self, kid: str) -> None:
        self.keys[kid] = Ed25519PrivateKey.generate()

    def push(self, kid: str = "one", claims: dict[str, Any] | None = None, **header: Any) -> bytes:
        headers = {"kid": kid, "typ": SET_TYPE, **header}
        return jwt.encode(claims or CLAIMS, self.keys[kid], algorithm="EdDSA", headers=headers).encode()

    async def is_accepted(self, push: bytes) -> bool:
        try:
            await self.ring.verify(push)
        except InvalidPush:
            return False
        return True

    async def _fetch(self) -> bytes:
        self.fetches += 1
        if self.away:
            raise GuardUnavailable("away")
        return msgspec.json.encode({"keys": [_jwk(kid, key) for kid, key in self.keys.items()]})


def _jwk(kid: str, key: Ed25519PrivateKey) -> dict[str, str]:
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": x}


async def test_signed_push_is_verified() -> None:
    issuer = Issuer()

    claims = await issuer.ring.verify(issuer.push())

    assert [change.seq for change in claims.events.changes.changes] == [1]


async def test_message_not_signed_by_the_authority_is_invalid() -> None:
    issuer, foe = Issuer(), Issuer()
    good = issuer.push()
    head, payload, signature = good.split(b".")

    forged = [
        b"",
        b"x",
        b'{"seq": 1, "kind": "revoked", "token_id": "tok_1", "digest": ""}',
        foe.push(),
        jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": "one", "typ": SET_TYPE}).encode(),
        jwt.encode(CLAIMS, b"k" * 32, algorithm="HS256", headers={"kid": "one", "typ": SET_TYPE}).encode(),
        b".".join((head, payload.swapcase(), signature)),
        issuer.push(typ="JWT"),
        issuer.push(claims={**CLAIMS, "aud": "polls"}),
        issuer.push(claims={**CLAIMS, "events": {}}),
        issuer.push(claims={key: value for key, value in CLAIMS.items() if key != "jti"}),
        good[:-4],
        b"\xff\xfe",
        b".".join((base64.urlsafe_b64encode(b"[" * 100_000), payload, signature)),
    ]

    assert [await issuer.is_accepted(push) for push in forged] == [False] * len(forged)
    assert await issuer.is_accepted(good)


async def test_push_with_any_iat_is_verified() -> None:
    issuer = Issuer()

    assert await issuer.is_accepted(issuer.push(claims={**CLAIMS, "iat": 4_000_000_000}))
    assert await issuer.is_accepted(issuer.push(claims={**CLAIMS, "iat": 1}))


async def test_unknown_key_is_fetched_and_old_key_still_works() -> None:
    issuer = Issuer()
    assert await issuer.is_accepted(issuer.push("one"))
    issuer.add("two")

    assert await issuer.is_accepted(issuer.push("two"))
    assert await issuer.is_accepted(issuer.push("one"))
    assert issuer.fetches == 2


async def test_refreshed_keys_cost_a_push_no_fetch_and_do_not_delay_other_keys() -> None:
    issuer = Issuer()
    await issuer.ring.refresh()
    assert await issuer.is_accepted(issuer.push("one"))
    assert issuer.fetches == 1

    issuer.add("two")

    assert await issuer.is_accepted(issuer.push("two"))


async def test_made_up_keys_cause_one_fetch_per_second() -> None:
    issuer, foe = Issuer(), Issuer()
    for kid in map(str, range(50)):
        foe.add(kid)

    assert not any([await issuer.is_accepted(foe.push(str(kid))) for kid in range(50)])

    assert issuer.fetches == 1
    issuer.time += UNKNOWN_KEY_RETRY_S
    assert await issuer.is_accepted(issuer.push())


async def test_withdrawn_key_expires_unless_authority_is_unavailable() -> None:
    issuer = Issuer()
    push = issuer.push("one")
    assert await issuer.is_accepted(push)
    issuer.away = True
    issuer.time += KEY_LIFE_S
    assert await issuer.is_accepted(push)

    issuer.away = False
    del issuer.keys["one"]
    issuer.time += KEY_LIFE_S

    assert not await issuer.is_accepted(push)


@pytest.mark.parametrize("document", [b"", b"{}", b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one"}]}'])
async def test_unreadable_key_set_makes_pushes_invalid(document: bytes) -> None:
    async def fetch() -> bytes:
        return document

    with pytest.raises(InvalidPush):
        await KeyRing(fetch, lambda: 1000.0).verify(Issuer().push())
