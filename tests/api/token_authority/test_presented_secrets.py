"""Secrets as scripts send them: whitespace around them is ignored, and nothing that is almost a secret is revoked."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.contract.token import ACCESS_TOKEN, mint
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth

pytestmark = pytest.mark.shared_services

GOOD = basic_auth("polls", CLIENT_SECRET)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
AROUND = [("", "\n"), ("", "\r\n"), (" ", ""), ("\t", " \t"), ("", "\u00a0"), ("\u3000", "\n\n")]
"""Whitespace before and after a secret."""


def texts_with_token(token: str) -> dict[str, str]:
    """Return texts that contain a token and other characters."""
    return {
        "quoted": f'"{token}"',
        "with its scheme": f"Bearer {token}",
        "with the name of its field": f"token={token}",
        "percent-encoded twice": f"{token}%0A",
        "with an encoded underscore": token.replace("_", "%5F"),
        "two tokens": f"{token},{token}",
        "with an invisible character": f"{token}\u200b",
        "with a letter more": f"{token}x",
    }


def damaged_tokens(token: str) -> dict[str, str]:
    """Return texts that look like a token and contain none."""
    return {
        "cut off": token[:-1],
        "cut in half": token[:20],
        "mistyped": token[:-1] + ("a" if token[-1] != "a" else "b"),
        "broken by a line feed": f"{token[:20]}\n{token[20:]}",
    }


async def status_of(authority: Authority, issued: Any) -> str:
    return str((await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["status"])


async def test_revoke_token_with_whitespace_around_it_returns_200_and_revokes(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for before, after in AROUND:
        with subtests.test(before=before, after=after):
            issued = await authority.issue()

            answer = await authority("POST", "/oauth2/revoke", data={"token": before + issued["token"] + after})

            assert (answer.status, answer.json["effective"]) == (200, True)
            assert await status_of(authority, issued) == "revoked"


async def test_revoke_form_with_line_feed_at_its_end_returns_200_and_revokes(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await authority("POST", "/oauth2/revoke", data=f"token={issued['token']}\n", headers=FORM)

    assert (answer.status, answer.json["effective"]) == (200, True)
    assert await status_of(authority, issued) == "revoked"


async def test_revoke_value_that_contains_token_and_more_returns_400(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    issued = await authority.issue()
    for case, value in {**texts_with_token(issued["token"]), **damaged_tokens(issued["token"])}.items():
        with subtests.test(case):
            answer = await authority("POST", "/oauth2/revoke", data={"token": value})

            assert (answer.status, answer.json["error"]) == (400, "invalid_request")
            assert answer.json["detail"].startswith("Nothing was revoked.")
            assert issued["token"][10:30] not in answer.body.decode()
    assert await status_of(authority, issued) == "active"


async def test_revoke_secret_of_another_kind_returns_400_and_names_kind(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for secret, kind in [(authority.admin_key, "an admin key"), (CLIENT_SECRET, "a client secret")]:
        with subtests.test(kind):
            answer = await authority("POST", "/oauth2/revoke", data={"token": secret})

            assert answer.status == 400
            assert f"This is {kind}, not an access token" in answer.json["detail"]


async def test_whitespace_without_token_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for path in ("/oauth2/revoke", "/oauth2/introspect"):
        with subtests.test(path):
            answer = await authority("POST", path, data={"token": " \n"}, headers=GOOD)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/token")


async def test_leaked_tokens_with_whitespace_around_them_are_revoked(authority: Authority) -> None:
    issued = [await authority.issue() for _ in AROUND]
    texts = [before + each["token"] + after for each, (before, after) in zip(issued, AROUND, strict=True)]

    answer = await authority("POST", "/v1/tokens/leaked", json={"tokens": [*texts, issued[0]["token"]]})

    assert (answer.status, answer.json) == (200, {"revoked": len(AROUND), "already_revoked": 0, "unknown": 0})


async def test_report_of_text_that_contains_secret_and_more_returns_422_and_revokes_nothing(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    issued, other = await authority.issue(), await authority.issue()
    texts = texts_with_token(issued["token"])
    del texts["with an encoded underscore"]
    for case, text in {**texts, "an admin key": mint("pga"), "a client secret": mint("pgs")}.items():
        with subtests.test(case):
            answer = await authority("POST", "/v1/tokens/leaked", json={"tokens": [other["token"], text]})

            assert (answer.status, [each["pointer"] for each in answer.json["errors"]]) == (422, ["/tokens/1"])
            assert issued["token"][10:30] not in answer.body.decode()
    assert [await status_of(authority, each) for each in (issued, other)] == ["active", "active"]


async def test_report_of_text_that_only_looks_like_token_returns_200_and_counts_it_as_unknown(
    authority: Authority,
) -> None:
    texts = [*damaged_tokens(mint("pgt")).values(), "x", mint("pgt")]

    answer = await authority("POST", "/v1/tokens/leaked", json={"tokens": texts})

    assert (answer.status, answer.json["unknown"]) == (200, len(texts))


async def test_introspect_token_with_whitespace_around_it_returns_active(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = (await authority.issue())["token"]
    for before, after in AROUND:
        with subtests.test(before=before, after=after):
            assert (await authority.introspect(before + token + after)).json["active"] is True


async def test_introspect_batch_with_whitespace_around_tokens_returns_active(authority: Authority) -> None:
    token = (await authority.issue())["token"]
    texts = [before + token + after for before, after in AROUND] * 16

    answer = await authority("POST", "/oauth2/introspect/batch", json={"tokens": texts}, headers=GOOD)

    assert [item["active"] for item in answer.json["items"]] == [True] * len(texts)


async def test_introspect_value_that_is_no_token_returns_inactive(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = (await authority.issue())["token"]
    for case, value in {**texts_with_token(token), **damaged_tokens(token)}.items():
        with subtests.test(case):
            answer = await authority.introspect(value)

            assert (answer.status, answer.json) == (200, {"active": False})


async def test_credential_with_whitespace_around_it_returns_200(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token, credential = (await authority.issue())["token"], GOOD["Authorization"].partition(" ")[2]
    posted = {"client_id": "polls", "client_secret": f"{CLIENT_SECRET}\n"}
    requests: dict[str, tuple[str, str, Mapping[str, Any]]] = {
        "basic, line feed": ("POST", "/oauth2/introspect", {"headers": basic_auth("polls", f"{CLIENT_SECRET}\n")}),
        "basic, two blanks": ("POST", "/oauth2/introspect", {"headers": {"Authorization": f"Basic  {credential}"}}),
        "BASIC, blanks": ("POST", "/oauth2/introspect", {"headers": {"Authorization": f"BASIC   {credential} "}}),
        "posted, line feed": ("POST", "/oauth2/introspect", {"data": {"token": token, **posted}}),
        "admin key": ("GET", "/v1/sites", {"headers": {"Authorization": f"bearer   {authority.admin_key} "}}),
        "access token": ("GET", "/v1/token", {"headers": {"Authorization": f"BEARER  {token}"}}),
    }
    for case, (method, path, options) in requests.items():
        with subtests.test(case):
            sent = {"data": {"token": token}, **options} if method == "POST" else options

            assert (await authority(method, path, **sent)).status == 200


async def test_show_held_token_that_is_malformed_returns_401_and_what_is_wrong(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = (await authority.issue())["token"]
    expected = {
        token[:-1]: "mistyped or cut off",
        f'"{token}"': "other characters around it",
        mint("pga"): "This is an admin key",
        "x": f"send {ACCESS_TOKEN}_ and 38 letters and digits",
        mint("pgt"): "was not issued here",
    }
    for value, text in expected.items():
        with subtests.test(text):
            answer = await authority("GET", "/v1/token", headers={"Authorization": f"Bearer {value}"})

            assert answer.status == 401
            assert text in answer.json["detail"]
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="token authority", error="invalid_token"'


async def test_malformed_admin_key_returns_401_and_what_is_wrong(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    key = authority.admin_key
    expected = {
        f"{key[:-1]}": "mistyped or cut off",
        f"'{key}'": "other characters around it",
        "x": "This is not an admin key",
        mint("pga"): "Unknown admin key",
    }
    for value, text in expected.items():
        with subtests.test(text):
            answer = await authority("GET", "/v1/tokens", headers={"Authorization": f"Bearer {value}"})

            assert (answer.status, text in answer.json["detail"]) == (401, True)


async def revoke_ids(authority: Authority, *ids: str) -> Answer:
    return await authority.manage("POST", "/v1/tokens/revoke", {"reason": "unneeded", "ids": ids})


async def test_revoke_ids_with_whitespace_around_them_returns_200_and_revokes(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await revoke_ids(authority, f" {issued['id']}\n")

    assert (answer.status, answer.json["revoked"], answer.json["unmatched"]) == (200, 1, [])


async def test_revoke_ids_with_secret_among_them_returns_422_and_does_not_repeat_it(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    issued, other = await authority.issue(), await authority.issue()
    for secret in (issued["token"], f" {issued['token']}\n", issued["token"][:-1], issued["token"].replace("_", "%5F")):
        with subtests.test(length=len(secret)):
            answer = await revoke_ids(authority, other["id"], secret)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/ids/1")
            assert issued["token"][10:30] not in answer.body.decode()
    assert await status_of(authority, other) == "active"


async def test_secret_where_an_id_belongs_is_not_repeated_in_response(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    secret = (await authority.issue())["token"]
    requests = [
        ("GET", f"/v1/tokens/{secret}", None, 404),
        ("PATCH", f"/v1/tokens/{secret}", {"name": "x"}, 404),
        ("POST", f"/v1/tokens/{secret}/rotate", {}, 404),
        ("POST", f"/v1/tokens/{secret}/revoke", {"reason": "unneeded"}, 404),
        ("DELETE", f"/v1/admin-keys/{secret}", None, 404),
        ("GET", f"/v1/services/{secret}", None, 404),
        ("DELETE", f"/v1/guards/{secret}", None, 401),
        ("GET", f"/v1/tokens?site={secret}", None, 400),
        ("GET", f"/v1/tokens?owner={secret}", None, 400),
        ("GET", f"/v1/tokens?search={secret}", None, 400),
        ("GET", f"/v1/tokens?scope={secret}", None, 400),
        ("GET", f"/v1/tokens?cursor={secret}", None, 400),
        ("GET", f"/v1/tokens?{secret}=1", None, 400),
        ("GET", f"/{secret}", None, 404),
    ]
    for method, path, body, status in requests:
        with subtests.test(f"{method} {path.replace(secret, '…')}"):
            answer = await authority.manage(method, path, body)

            assert answer.status == status
            assert secret not in f"{answer.headers}{answer.body.decode()}"
