"""`WWW-Authenticate` of the authority, and credentials in the header and the form (RFC 6749 §2.3.1)."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from shared.contract.token import mint
from tests.support.stack import CLIENT_SECRET, Authority, basic_auth

pytestmark = pytest.mark.shared_services

GOOD = basic_auth("polls", CLIENT_SECRET)
POSTED = {"client_id": "polls", "client_secret": CLIENT_SECRET}
BEARER = 'Bearer realm="token authority"'
CLIENT = f'Basic realm="token authority", charset="UTF-8", {BEARER}'

CHALLENGES: list[tuple[str, str, Mapping[str, str], str]] = [
    ("GET", "/v1/tokens", {}, BEARER),
    ("GET", "/v1/tokens", GOOD, BEARER),
    ("GET", "/v1/tokens", {"Authorization": "Bearer"}, BEARER),
    ("GET", "/v1/tokens", {"Authorization": "Bearer pga_x"}, f'{BEARER}, error="invalid_token"'),
    ("GET", "/v1/tokens", {"Authorization": f"Bearer {mint('pga')}"}, f'{BEARER}, error="invalid_token"'),
    ("GET", "/v1/token", {}, BEARER),
    ("GET", "/v1/token", {"Authorization": f"Bearer {mint('pgt')}"}, f'{BEARER}, error="invalid_token"'),
    ("POST", "/oauth2/introspect", {}, CLIENT),
    ("POST", "/oauth2/introspect", basic_auth("polls", mint("pgs")), CLIENT),
    ("POST", "/oauth2/introspect", {"Authorization": "Bearer x"}, CLIENT),
    ("POST", "/v1/guards/0123456789abcdef/sync", {}, CLIENT),
]


async def test_request_without_valid_credential_returns_401_with_challenge(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for method, path, headers, challenge in CHALLENGES:
        with subtests.test(f"{path} {headers.get('Authorization', 'nothing')[:10]}"):
            data = {"token": "x"} if method == "POST" else None
            answer = await authority(method, path, headers=headers, data=data)

            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, challenge)


async def test_admin_key_in_another_role_returns_403_with_challenge(authority: Authority) -> None:
    auditor = (await authority.manage("POST", "/v1/admin-keys", {"name": "a", "role": "auditor"})).json["key"]

    answer = await authority("POST", "/v1/keys/rotate", headers={"Authorization": f"Bearer {auditor}"})

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (403, f'{BEARER}, error="insufficient_scope"')


async def test_several_authorization_headers_return_400_with_challenge(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for path in ("/v1/tokens", "/v1/token", "/v1/services"):
        with subtests.test(path):
            headers = [("Authorization", authority.admin["Authorization"])] * 2
            answer = await authority("GET", path, headers=headers)

            assert (answer.status, answer.headers["WWW-Authenticate"]) == (400, f'{BEARER}, error="invalid_request"')


SAME: dict[str, tuple[Mapping[str, str], Mapping[str, str], int]] = {
    "in the form alone": ({}, POSTED, 200),
    "the same in the header and the form": (GOOD, POSTED, 200),
    "the same with a line feed in the form": (GOOD, {**POSTED, "client_secret": f"{CLIENT_SECRET}\n"}, 200),
    "the client id in the form and all of it in the header": (GOOD, {"client_id": "polls"}, 200),
    "another secret in the form": (GOOD, {**POSTED, "client_secret": mint("pgs")}, 400),
    "another client id in the form": (GOOD, {**POSTED, "client_id": "reports"}, 400),
    "fields without a value beside a header": (GOOD, dict.fromkeys((*POSTED, "client_assertion"), ""), 200),
    "a secret without its client id beside a header": (GOOD, {"client_secret": CLIENT_SECRET}, 400),
    "a secret without its client id": ({}, {"client_secret": CLIENT_SECRET}, 401),
    "a wrong secret in the form alone": ({}, {**POSTED, "client_secret": mint("pgs")}, 401),
    "a secret and an assertion": (
        {},
        {**POSTED, "client_assertion": "x", "client_assertion_type": ASSERTION_TYPE},
        400,
    ),
}


async def test_equal_credentials_in_header_and_form_return_200_and_different_ones_400(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = (await authority.issue())["token"]
    for case, (headers, form, status) in SAME.items():
        with subtests.test(case):
            answer = await authority("POST", "/oauth2/introspect", headers=headers, data={"token": token, **form})

            assert answer.status == status
            assert answer.headers.get("WWW-Authenticate") == (None if status == 200 else CLIENT)
            assert CLIENT_SECRET not in answer.body.decode()


async def test_metadata_advertises_secret_in_form(authority: Authority) -> None:
    metadata: Any = (await authority("GET", "/.well-known/oauth-authorization-server")).json

    assert "client_secret_post" in metadata["introspection_endpoint_auth_methods_supported"]


async def test_introspection_names_token_as_subject_and_owner_as_username(authority: Authority) -> None:
    owned, bare = await authority.issue(owner="Ada Lovelace"), await authority.issue()

    answers = [(await authority.introspect(each["token"])).json for each in (owned, bare)]

    assert [(each["sub"], each.get("username")) for each in answers] == [
        (owned["id"], "Ada Lovelace"),
        (bare["id"], None),
    ]
    assert "username" not in answers[1]
