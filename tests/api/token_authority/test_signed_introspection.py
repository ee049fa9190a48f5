"""Signed introspection responses (RFC 9701), which a service can show to others."""

import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest

from shared.contract.token import mint
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth

JWT = "application/token-introspection+jwt"
OTHER_SECRET = mint("pgs")


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"service_credentials": f"polls:{CLIENT_SECRET} other:{OTHER_SECRET}"}


async def test_signed_response_is_for_requesting_service(authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    in_json = (await authority.introspect(issued["token"])).json
    before = int(time.time())

    for client_id, secret in (("polls", CLIENT_SECRET), ("other", OTHER_SECRET)):
        answer = await _introspect(authority, issued["token"], basic_auth(client_id, secret))

        assert (answer.status, answer.headers["Content-Type"]) == (200, JWT)
        claims = await _verify(authority, answer, client_id)
        assert before <= claims.pop("iat") <= time.time()
        assert claims == {"iss": "http://127.0.0.1:8081", "aud": client_id, "token_introspection": in_json}
        assert in_json["active"] is True


async def test_introspect_inactive_token_returns_signed_response(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for token in [mint("pgt"), "x"]:
        with subtests.test(token=token[:4]):
            claims = await _verify(authority, await _introspect(authority, token), "polls")

            assert claims["token_introspection"] == {"active": False}


async def test_accept_header_that_prefers_json_returns_json(authority: Authority, subtests: pytest.Subtests) -> None:
    for accept in ["*/*", "application/json", f"{JWT};q=0", f"application/json, {JWT};q=0.9", "a\xffb"]:
        with subtests.test(accept=accept):
            issued = await authority.issue()

            answer = await _introspect(authority, issued["token"], accept=accept)

            assert answer.headers["Content-Type"].startswith("application/json")
            assert answer.json["active"] is True


async def test_signed_response_for_one_service_is_refused_by_another(authority: Authority) -> None:
    answer = await _introspect(authority, (await authority.issue())["token"])

    with pytest.raises(jwt.InvalidAudienceError):
        await _verify(authority, answer, "other")


async def test_401_with_accept_header_for_jwt_is_json_and_unsigned(authority: Authority) -> None:
    answer = await _introspect(authority, "x", basic_auth("polls", OTHER_SECRET))

    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/json")


async def _introspect(
    authority: Authority, token: str, credential: Mapping[str, str] | None = None, accept: str = JWT
) -> Answer:
    headers = {**(credential or basic_auth("polls", CLIENT_SECRET)), "Accept": accept}
    return await authority("POST", "/oauth2/introspect", data={"token": token}, headers=headers)


async def _verify(authority: Authority, answer: Answer, client_id: str) -> Any:
    """Verify the response as a recipient has to. Return its claims."""
    metadata = (await authority("GET", "/.well-known/oauth-authorization-server")).json
    keys = jwt.PyJWKSet.from_dict((await authority("GET", "/.well-known/jwks.json")).json)
    signed = answer.body.decode()
    header = jwt.get_unverified_header(signed)
    assert header["typ"] == "token-introspection+jwt"
    assert header["alg"] in metadata["introspection_signing_alg_values_supported"]
    return jwt.decode(
        signed,
        keys[header["kid"]],
        algorithms=metadata["introspection_signing_alg_values_supported"],
        issuer=metadata["issuer"],
        audience=client_id,
        options={"require": ["iss", "aud", "iat", "token_introspection"], "strict_aud": True},
    )
