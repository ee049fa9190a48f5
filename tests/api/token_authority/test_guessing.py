"""Limits on wrong credentials: per address and per client id, without refusing valid ones."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
import structlog
import structlog.testing

from services.token_authority.operations.attempts import MAX_WAITING
from shared.contract.token import mint
from tests.support.client_keys import ClientKey, assertion_form, create_service_with_key
from tests.support.databases import ClonedDatabase
from tests.support.proxy import run_proxy
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth, run_token_authority
from tests.support.wall_clock import avoid_end_of_minute

BY_ADDRESS: Final = 5
BY_SERVICE: Final = 8
OPEN_TOKENS: Final = 20
SETTINGS: Final = {
    "wrong_credentials_per_minute": BY_ADDRESS,
    "wrong_credentials_per_minute_per_service": BY_SERVICE,
    "open_tokens_per_minute": OPEN_TOKENS,
    "trusted_proxy_hops": 1,
}
NONE: Final[Mapping[str, str]] = {}
GUESSER, OTHER = "203.0.113.7", "198.51.100.1"


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return SETTINGS


class ClientAt:
    """A client at an address that the proxy reports."""

    def __init__(self, authority: Authority, address: str = GUESSER) -> None:
        self._authority = authority
        self._address = address

    async def __call__(self, method: str, path: str, headers: Mapping[str, str] = NONE, **options: Any) -> Answer:
        forwarded = {"X-Forwarded-For": f"192.0.2.1, {self._address}", **headers}
        return await self._authority(method, path, headers=forwarded, **options)

    async def manage(self, key: str) -> Answer:
        return await self("GET", "/v1/sites", {"Authorization": f"Bearer {key}"})

    async def introspect(self, secret: str, client_id: str = "polls") -> Answer:
        return await self("POST", "/oauth2/introspect", basic_auth(client_id, secret), data={"token": "x"})

    async def introspect_with_assertion(self, assertion: str) -> Answer:
        return await self("POST", "/oauth2/introspect", data=assertion_form(assertion))

    async def look_up(self, token: str) -> Answer:
        return await self("GET", "/v1/token", {"Authorization": f"Bearer {token}"})

    async def report(self, *tokens: str) -> Answer:
        return await self("POST", "/v1/tokens/leaked", json={"tokens": tokens})

    async def revoke(self, token: str) -> Answer:
        return await self("POST", "/oauth2/revoke?wait=false", data={"token": token})

    async def send_unknown_keys(self, times: int = BY_ADDRESS) -> set[int]:
        """Send well-formed admin keys that are unknown."""
        return {(await self.manage(mint("pga"))).status for _ in range(times)}


async def test_wrong_credentials_beyond_limit_of_address_return_429_for_any_kind(authority: Authority) -> None:
    caller = ClientAt(authority)

    assert await caller.send_unknown_keys() == {401}

    answers = [
        await caller.manage(mint("pga")),
        await caller.manage("malformed"),
        await caller.introspect(mint("pgs")),
        await caller.introspect("malformed"),
        await caller.look_up(mint("pgt")),
    ]
    assert {answer.status for answer in answers} == {429}
    assert {1 <= int(answer.headers["Retry-After"]) <= 61 for answer in answers} == {True}
    assert answers[0].json["type"] == "/docs/problems/too-many-attempts"
    assert "At most 5 wrong credentials per minute are allowed from one address" in answers[0].json["detail"]
    assert await ClientAt(authority, OTHER).send_unknown_keys(1) == {401}


async def test_valid_credential_from_address_over_limit_returns_200(authority: Authority) -> None:
    caller, issued = ClientAt(authority), await authority.issue()
    await caller.send_unknown_keys(BY_ADDRESS + 1)

    statuses = {
        "admin key": (await caller.manage(authority.admin_key)).status,
        "held token": (await caller.look_up(issued["token"])).status,
        "service": (await caller.introspect(CLIENT_SECRET)).status,
    }
    revoked = await caller(
        "POST",
        f"/v1/tokens/{issued['id']}/revoke?wait=false",
        {"Authorization": f"Bearer {authority.admin_key}"},
        json={"reason": "leaked"},
    )

    assert statuses == {"admin key": 200, "held token": 200, "service": 200}
    assert (revoked.status, "revoked_at" in revoked.json) == (200, True)


async def test_valid_key_during_flood_from_its_address_returns_200(authority: Authority) -> None:
    caller = ClientAt(authority)
    await caller.send_unknown_keys(BY_ADDRESS + 1)

    flood = [asyncio.create_task(caller.manage(mint("pga"))) for _ in range(50)]
    good = [asyncio.create_task(caller.manage(authority.admin_key)) for _ in range(5)]

    assert {answer.status for answer in await asyncio.gather(*good)} == {200}
    assert {answer.status for answer in await asyncio.gather(*flood)} == {429}


@asynccontextmanager
async def hold_lookups(url: str) -> AsyncGenerator[None, None]:
    """Let the authority find no secret during the block, so that lookups wait."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE token_authority.secret IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_credential_that_was_valid_before_does_not_wait_for_flood(
    authority: Authority, database: ClonedDatabase
) -> None:
    caller, token = ClientAt(authority), await authority.issue()
    assert ((await caller.manage(authority.admin_key)).status, (await caller.look_up(token["token"])).status) == (
        200,
        200,
    )
    await caller.send_unknown_keys(BY_ADDRESS + 1)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(authority.base, connector=connector) as session:

        async def flood() -> None:
            headers = {"X-Forwarded-For": GUESSER}
            while True:
                async with session.get("/v1/token", headers={**headers, "Authorization": f"Bearer {mint('pgt')}"}):
                    pass

        new, others = [(await authority.issue())["token"] for _ in range(5)], list[Answer]()
        flooding = [asyncio.create_task(flood()) for _ in range(2 * MAX_WAITING)]
        async with asyncio.timeout(20), hold_lookups(database.admin_url):
            while 429 not in {answer.status for answer in others}:  # the queue is not full yet
                others = await asyncio.gather(*(caller.look_up(each) for each in new))
        key = [(await caller.manage(authority.admin_key)).status for _ in range(5)]
        held = [(await caller.look_up(token["token"])).status for _ in range(5)]
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)

    assert (set(key), set(held)) == ({200}, {200})


async def test_revoked_key_waits_and_counts_as_wrong_although_it_was_valid_before(authority: Authority) -> None:
    caller = ClientAt(authority)
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "Ada", "role": "admin"})).json
    assert (await caller.manage(key["key"])).status == 200
    await authority.manage("DELETE", f"/v1/admin-keys/{key['id']}")

    statuses = [(await caller.manage(key["key"])).status for _ in range(BY_ADDRESS + 1)]

    assert statuses == [401] * BY_ADDRESS + [429]


WRONG: Final[dict[str, Callable[[ClientAt], Awaitable[Answer]]]] = {
    "a malformed admin key": lambda caller: caller.manage("malformed"),
    "a secret": lambda caller: caller.introspect(mint("pgs")),
    "a malformed secret": lambda caller: caller.introspect("malformed"),
    "an unknown client id": lambda caller: caller.introspect(mint("pgs"), "unknown"),
    "an assertion of another": lambda caller: caller.introspect_with_assertion(ClientKey().sign()),
    "an assertion that has expired": lambda caller: caller.introspect_with_assertion(ClientKey().sign(exp=1)),
    "a malformed assertion": lambda caller: caller.introspect_with_assertion("malformed"),
    "a token": lambda caller: caller.look_up(mint("pgt")),
    "a malformed token": lambda caller: caller.look_up("malformed"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_every_kind_of_wrong_credential_counts(
    authority: Authority, wrong: Callable[[ClientAt], Awaitable[Answer]]
) -> None:
    await create_service_with_key(authority, ClientKey())
    caller = ClientAt(authority)

    statuses = [(await wrong(caller)).status for _ in range(BY_ADDRESS + 1)]

    assert statuses == [401] * BY_ADDRESS + [429]
    assert await caller.send_unknown_keys(1) == {429}


async def test_request_without_credential_does_not_count(authority: Authority) -> None:
    caller = ClientAt(authority)

    for _ in range(BY_ADDRESS + 1):
        assert (await caller("GET", "/v1/sites")).status == 401
        assert (await caller("POST", "/oauth2/introspect", data={"token": "x"})).status == 401

    assert (await caller.manage(authority.admin_key)).status == 200


async def test_correct_credentials_do_not_count(authority: Authority) -> None:
    caller = ClientAt(authority)

    statuses = {(await caller.manage(authority.admin_key)).status for _ in range(BY_ADDRESS * 3)}

    assert statuses == {200}


async def test_service_at_address_over_limit_is_accepted(authority: Authority) -> None:
    caller, key = ClientAt(authority), ClientKey()
    await create_service_with_key(authority, key)

    assert await caller.send_unknown_keys(BY_ADDRESS * 2) == {401, 429}

    assert (await caller.introspect(CLIENT_SECRET)).status == 200
    assert (await caller.introspect_with_assertion(key.sign())).status == 200
    assert (await caller.introspect(mint("pgs"))).status == 429


async def test_service_whose_client_id_is_guessed_is_accepted(authority: Authority) -> None:
    guessers = [ClientAt(authority, f"203.0.113.{number}") for number in range(BY_SERVICE + 1)]

    statuses = [(await guesser.introspect(mint("pgs"))).status for guesser in guessers]

    refused = await ClientAt(authority, OTHER).introspect(mint("pgs"))
    assert statuses == [401] * BY_SERVICE + [429]
    assert (refused.status, "for one client id" in refused.json["detail"]) == (429, True)
    assert (await ClientAt(authority, OTHER).introspect(CLIENT_SECRET)).status == 200
    assert (await ClientAt(authority, "198.51.100.2").introspect(mint("pgs"), "other")).status == 401


async def test_ipv6_addresses_count_per_64_network(authority: Authority) -> None:
    callers = [ClientAt(authority, f"2001:db8::{number}") for number in range(BY_ADDRESS)]

    for caller in callers:
        assert await caller.send_unknown_keys(1) == {401}

    assert await ClientAt(authority, "2001:db8::ffff").send_unknown_keys(1) == {429}
    assert await ClientAt(authority, "2001:db8:0:1::1").send_unknown_keys(1) == {401}


async def test_unknown_addresses_count_as_one(authority: Authority) -> None:
    statuses = [
        await ClientAt(authority, address).send_unknown_keys(1) for address in ("x", "unknown", "", "_a", "?", "-")
    ]

    assert statuses == [{401}] * BY_ADDRESS + [{429}]


async def test_forwarded_address_is_ignored_without_trusted_proxy(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "trusted_proxy_hops": 0}
    async with run_token_authority(database, redis_url, tmp_path, **settings) as authority:
        statuses = [
            await ClientAt(authority, f"203.0.113.{number}").send_unknown_keys(1) for number in range(BY_ADDRESS + 1)
        ]

    assert statuses == [{401}] * BY_ADDRESS + [{429}]


async def test_processes_count_together(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> None:
    async with (
        run_token_authority(database, redis_url, tmp_path, **SETTINGS) as one,
        run_token_authority(database, redis_url, tmp_path, **SETTINGS) as two,
    ):
        assert await ClientAt(one).send_unknown_keys(BY_ADDRESS - 1) == {401}
        assert await ClientAt(two).send_unknown_keys(1) == {401}

        assert await ClientAt(one).send_unknown_keys(1) == {429}
        assert await ClientAt(two).send_unknown_keys(1) == {429}


async def test_other_authority_on_same_redis_counts_separately(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    elsewhere = {**SETTINGS, "token_authority_issuer": "https://other.example.com"}
    async with (
        run_token_authority(database, redis_url, tmp_path, **SETTINGS) as one,
        run_token_authority(database, redis_url, tmp_path, **elsewhere) as other,
    ):
        await ClientAt(one).send_unknown_keys(BY_ADDRESS + 1)

        assert await ClientAt(other).send_unknown_keys(1) == {401}


async def test_each_process_counts_alone_while_redis_is_unavailable(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    await avoid_end_of_minute()
    async with (
        run_proxy(redis_url) as redis,
        run_token_authority(database, redis.url(), tmp_path, **SETTINGS) as authority,
    ):
        assert await ClientAt(authority).send_unknown_keys(2) == {401}
        redis.set_mode("refuse")

        assert await ClientAt(authority).send_unknown_keys(BY_ADDRESS - 2) == {401}

        assert await ClientAt(authority).send_unknown_keys(1) == {429}
        assert (await ClientAt(authority, OTHER).manage(authority.admin_key)).status == 200


async def test_malformed_credential_causes_no_query(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> None:
    async with run_proxy(database.admin_url) as postgres:
        proxied_database = database._replace(token_authority_url=postgres.url(database.token_authority_url))
        async with run_token_authority(proxied_database, redis_url, tmp_path, **SETTINGS) as authority:
            postgres.set_mode("refuse")
            caller = ClientAt(authority)

            malformed = [
                await caller.manage("malformed"),
                await caller.introspect("malformed"),
                await caller.introspect_with_assertion(ClientKey().sign(exp=1)),
                await caller.look_up("malformed"),
            ]
            well_formed = await ClientAt(authority, OTHER).manage(mint("pga"))
            postgres.set_mode("ok")

    assert [answer.status for answer in malformed] == [401] * 4
    assert well_formed.status == 503


async def test_warning_is_logged_once_per_minute_and_address_without_credential(authority: Authority) -> None:
    secret = mint("pgs")

    with structlog.testing.capture_logs() as lines:
        for _ in range(BY_ADDRESS + 3):
            await ClientAt(authority).introspect(secret)
        for _ in range(BY_ADDRESS + 3):
            await ClientAt(authority, OTHER).introspect(secret)

    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [(line["address"], line["client_id"]) for line in warnings] == [(GUESSER, "polls"), (OTHER, "polls")]
    assert secret not in str(lines)


async def test_refused_credentials_metric_counts_by_kind(authority: Authority) -> None:
    await ClientAt(authority).send_unknown_keys(BY_ADDRESS + 2)

    metrics = (await authority("GET", "/metrics")).body.decode()

    assert 'pollgate_refused_credentials_total{kind="admin_key",why="wrong"} 5.0' in metrics
    assert 'pollgate_refused_credentials_total{kind="admin_key",why="too_many"} 2.0' in metrics


async def test_scanner_may_report_many_valid_tokens_at_once(authority: Authority) -> None:
    tokens = [(await authority.issue())["token"] for _ in range(OPEN_TOKENS + 1)]

    first = await ClientAt(authority).report(*tokens)
    more = await ClientAt(authority).report((await authority.issue())["token"])

    assert (first.status, first.json["revoked"]) == (200, OPEN_TOKENS + 1)
    assert (more.status, more.json["revoked"]) == (200, 1)


async def test_unknown_tokens_over_limit_return_429(authority: Authority) -> None:
    caller = ClientAt(authority)

    first = await caller.report(*(mint("pgt") for _ in range(OPEN_TOKENS + 1)))

    refused = [await caller.report(mint("pgt")), await caller.revoke(mint("pgt"))]
    assert (first.status, first.json["unknown"]) == (200, OPEN_TOKENS + 1)
    assert {answer.status for answer in refused} == {429}
    assert {int(answer.headers["Retry-After"]) >= 1 for answer in refused} == {True}
    assert "20 unknown tokens per minute are looked up for one address" in refused[0].json["detail"]
    assert (await ClientAt(authority, OTHER).revoke(mint("pgt"))).status == 200


async def test_revoke_known_token_from_address_over_limit_of_unknown_tokens_returns_200(authority: Authority) -> None:
    caller, held, found = ClientAt(authority), await authority.issue(), await authority.issue()
    await caller.report(*(mint("pgt") for _ in range(OPEN_TOKENS + 1)))

    revoked, again = await caller.revoke(held["token"]), await caller.revoke(held["token"])
    reported = await caller.report(mint("pgt"), found["token"])

    assert [(answer.status, "revoked_at" in answer.json) for answer in (revoked, again)] == [(200, True)] * 2
    assert (reported.status, reported.json) == (200, {"revoked": 1, "already_revoked": 0, "unknown": 1})


async def test_malformed_and_revoked_tokens_do_not_count(authority: Authority) -> None:
    caller = ClientAt(authority)

    for _ in range(3):
        assert (await caller.report(*(f"malformed {number}" for number in range(OPEN_TOKENS)))).status == 200
    for _ in range(OPEN_TOKENS + 1):
        assert (await caller.revoke((await authority.issue())["token"])).status == 200
        assert (await caller.revoke("malformed")).status == 200


async def test_show_held_token_does_not_count(authority: Authority) -> None:
    token = (await authority.issue())["token"]

    statuses = {(await ClientAt(authority).look_up(token)).status for _ in range(OPEN_TOKENS + 1)}

    assert statuses == {200}


async def test_revoke_held_token_with_wrong_credentials_from_address_returns_200(authority: Authority) -> None:
    caller, issued = ClientAt(authority), await authority.issue()
    await caller.send_unknown_keys(BY_ADDRESS + 1)

    answer = await caller.revoke(issued["token"])

    assert (answer.status, "revoked_at" in answer.json) == (200, True)
