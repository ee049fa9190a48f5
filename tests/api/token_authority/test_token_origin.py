"""From where a token was used last, as guards report it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contract.token import mint
from tests.support.guards import FakeGuard
from tests.support.stack import Authority, Polls
from tests.support.token_fixtures import Reader

pytestmark = pytest.mark.shared_services


async def origin_of(authority: Authority, token_id: str) -> tuple[str | None, str | None]:
    token = (await authority.manage("GET", f"/v1/tokens/{token_id}")).json
    return token["last_used_address"], token["last_used_user_agent"]


async def test_reported_origin_of_last_use_is_shown(authority: Authority) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    uses = [(issued["id"], 1, 5000)]
    assert await origin_of(authority, issued["id"]) == (None, None)

    await guard.sync(uses, last_address="203.0.113.7", last_user_agent="curl/8.1")
    assert await origin_of(authority, issued["id"]) == ("203.0.113.7", "curl/8.1")

    await guard.sync([(issued["id"], 1, 60_000)], last_address="203.0.113.8", last_user_agent="older")
    await guard.sync([(issued["id"], 0, 0)], last_address="203.0.113.8", last_user_agent="refused")
    assert await origin_of(authority, issued["id"]) == ("203.0.113.7", "curl/8.1")

    listed = await Reader(authority).list_all()
    assert [token["last_used_address"] for token in listed] == ["203.0.113.7"]
    held = await authority("GET", "/v1/token", headers={"Authorization": f"Bearer {issued['token']}"})
    assert "203.0.113.7" not in held.body.decode()


async def test_use_reported_by_earlier_release_has_no_origin(authority: Authority) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await guard.sync([(issued["id"], 1, 5000)], last_address="203.0.113.7", last_user_agent="curl/8.1")

    assert (await guard.sync([(issued["id"], 1, 0)])).status == 200

    assert await origin_of(authority, issued["id"]) == (None, None)


SECRET = mint("pgt")
REPORTED: list[tuple[dict[str, Any], tuple[str | None, str | None]]] = [
    ({"last_address": "2001:db8::1", "last_user_agent": "a" * 101}, ("2001:db8::1", "a" * 100)),
    ({"last_address": "::ffff:203.0.113.7"}, ("203.0.113.7", None)),
    ({"last_address": "no address", "last_user_agent": "x\r\ny\u0000\u00e9\u202e"}, (None, "x??y???")),
    ({"last_user_agent": f"bot ({SECRET}) 1.0"}, (None, "bot ([redacted]) 1.0")),
    ({"last_user_agent": f"{'x ' * 245}{SECRET}"}, (None, ("x " * 50).strip())),
    ({"last_address": "", "last_user_agent": "  "}, (None, None)),
]


async def test_reported_origin_is_shortened_and_redacted(authority: Authority, subtests: pytest.Subtests) -> None:
    guard = FakeGuard(authority)
    for origin, shown in REPORTED:
        with subtests.test(**origin):
            issued = await authority.issue()

            assert (await guard.sync([(issued["id"], 1, 0)], **origin)).status == 200

            assert await origin_of(authority, issued["id"]) == shown


async def test_guarded_service_reports_origin(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue()
    answer = await polls.with_token(issued["token"]).v1("GET", "/polls", headers={"User-Agent": "Report bot/1.0"})
    assert answer.status == 200

    deadline = datetime.now(UTC).timestamp() + 10
    while await origin_of(authority, issued["id"]) == (None, None) and datetime.now(UTC).timestamp() < deadline:
        await asyncio.sleep(0.1)

    assert await origin_of(authority, issued["id"]) == ("127.0.0.1", "Report bot/1.0")


class TestWithoutOrigin:
    """An authority that does not store from where tokens are used."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"store_token_origin": False}

    async def test_origin_is_not_stored(self, authority: Authority) -> None:
        issued = await authority.issue()

        await FakeGuard(authority).sync([(issued["id"], 1, 0)], last_address="203.0.113.7", last_user_agent="curl/8.1")

        assert await origin_of(authority, issued["id"]) == (None, None)
