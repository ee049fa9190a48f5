"""Finding a token by its secret: in the body of a POST, never in a URL."""

from typing import Any

import pytest
import structlog.testing

from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.stack import Authority
from tests.support.token_fixtures import Reader, create_reader, expire_token

pytestmark = pytest.mark.shared_services

FIND = "/v1/tokens/find"


async def test_find_by_secret_returns_token_without_secret(authority: Authority) -> None:
    issued = await authority.issue(name="Weekly report")
    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json

    for secret in (issued["token"], f"  {issued['token']}\r\n"):
        found = await authority.manage("POST", FIND, {"token": secret})

        assert found.status == 200
        assert issued["token"] not in found.body.decode()
        assert {name: value for name, value in found.json.items() if name != "secret"} == {
            name: value for name, value in shown.items() if name not in ("secrets", "days")
        }
        assert found.json["secret"] == shown["secrets"][0]
        assert found.json["secret"]["works"] is True


async def test_find_by_secret_of_ended_token_says_that_it_does_not_work(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    disabled, expired, revoked = [await authority.issue() for _ in range(3)]
    await authority.manage("POST", f"/v1/tokens/{disabled['id']}/disable", {})
    await expire_token(database, expired["id"])
    await authority.revoke(revoked["id"])

    for status, issued in {"disabled": disabled, "expired": expired, "revoked": revoked}.items():
        with subtests.test(status):
            found = (await authority.manage("POST", FIND, {"token": issued["token"]})).json

            assert (found["id"], found["status"], found["secret"]["works"]) == (issued["id"], status, False)


async def test_find_by_rotated_secret_says_which_it_is_and_is_no_use(authority: Authority) -> None:
    issued = await authority.issue()
    rotated = (await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})).json

    old = (await authority.manage("POST", FIND, {"token": issued["token"]})).json
    new = (await authority.manage("POST", FIND, {"token": rotated["token"]})).json

    assert old["id"] == new["id"] == issued["id"]
    assert (old["secret"]["hint"], old["secret"]["works"]) == (issued["hint"], False)
    assert (new["secret"]["hint"], new["secret"]["works"]) == (rotated["hint"], True)
    assert (old["secret"]["late_uses"], old["uses"], old["refusals"]) == (0, 0, 0)
    assert new["secret"]["first_used_at"] is None


async def test_find_by_secret_outside_limits_returns_404(authority: Authority) -> None:
    issued = await authority.issue("polls:read:OTHER")

    for role, scopes, status in (
        ("issuer", ["polls:*:PLAT"], 404),
        ("issuer", ["polls:*:OTHER"], 200),
        ("auditor", None, 200),
    ):
        reader = await create_reader(authority, role=role, **({"scopes": scopes} if scopes else {}))
        found = await reader.post(FIND, {"token": issued["token"]})

        assert found.status == status, role
    unknown = await authority.manage("POST", FIND, {"token": mint("pgt")})
    assert (unknown.status, unknown.json["type"]) == (404, "/docs/problems/unknown-token")
    assert "has this secret" in unknown.json["detail"]


MALFORMED: list[tuple[Any, str]] = [
    ("", "not an access token"),
    (mint("pgt")[:-1] + "-", "mistyped or cut off"),
    (mint("pgt")[:-3], "mistyped or cut off"),
    (f"{mint('pgt')} {mint('pgt')}", "other characters around it"),
    ("tok_3JDxtsz4ic3g56zQ", "This is the id of a token"),
    (mint("pga"), "This is an admin key"),
    (mint("pgs"), "This is a client secret"),
    (7, "expected"),
]


async def test_find_by_malformed_secret_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for text, reason in MALFORMED:
        with subtests.test(reason):
            answer = await authority.manage("POST", FIND, {"token": text})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/token")
            assert reason in answer.json["errors"][0]["detail"]


async def test_secret_in_url_is_refused_and_not_logged(authority: Authority, subtests: pytest.Subtests) -> None:
    secret, reader = (await authority.issue())["token"], Reader(authority)

    for name, value in (
        ("search", secret),
        ("search", f" the token {secret}."),
        ("owner", secret),
        ("site", secret),
        ("scope", secret),
    ):
        with subtests.test(**{name: value[:8]}), structlog.testing.capture_logs() as logs:
            answer = await reader.get("/v1/tokens", **{name: value})

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, name)
            assert "POST /v1/tokens/find" in answer.json["errors"][0]["detail"]
            assert secret not in f"{answer.body!r}{logs}"

    with structlog.testing.capture_logs() as logs:
        answer = await reader.get(f"/v1/tokens/{secret}")
    assert answer.status == 404
    assert "POST /v1/tokens/find" in answer.json["detail"]
    assert secret not in f"{answer.body!r}{logs}"
