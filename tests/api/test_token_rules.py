"""The guard restricts how a token is sent, from which address, and how often."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from multidict import CIMultiDict
from redis.asyncio import Redis

from shared.runtime.redis.rate_limit import RETRY_S
from tests.support.fake_authority import FakeAuthority, GuardedService, run_fake_authority, run_guarded_service
from tests.support.proxy import Mode, run_proxy
from tests.support.stack import Answer
from tests.support.wall_clock import avoid_end_of_minute

WAIT_LIMIT_S = 1.0


@pytest.fixture
async def authority() -> AsyncGenerator[FakeAuthority, None]:
    """Run an authority that issues tokens with any properties."""
    async with run_fake_authority() as running:
        yield running


@pytest.fixture
def guard_settings() -> dict[str, Any]:
    """Return settings of the guard that differ from the defaults: there is one proxy in front."""
    return {"trusted_proxy_hops": 1}


@pytest.fixture
async def service(
    authority: FakeAuthority, redis_url: str, guard_settings: dict[str, Any]
) -> AsyncGenerator[GuardedService, None]:
    """Run a guarded service."""
    async with run_guarded_service(authority, redis_url, **guard_settings) as running:
        yield running


def slug(answer: Answer) -> str:
    """Return the last segment of the problem's type."""
    return str(answer.json["type"]).rpartition("/")[2]


@pytest.mark.parametrize("spelling", ["?token=", "?tok%65n=", "?%74%6F%6B%65%6E=", "?a=b&token=", "?&&token="])
async def test_header_only_token_in_url_returns_403_in_every_encoding(
    authority: FakeAuthority, service: GuardedService, spelling: str
) -> None:
    token = authority.issue(allow_query=False)
    encoded = "".join(f"%{byte:02x}" for byte in token.encode())

    for written in (token, encoded):
        answer = await service("GET", f"/hello{spelling}{written}")
        assert (answer.status, slug(answer)) == (403, "query-not-allowed")
        assert "Authorization: Bearer" in answer.json["detail"]
    assert (await service.get(token)).status == 200


async def test_token_without_restriction_in_url_returns_200(authority: FakeAuthority, service: GuardedService) -> None:
    assert (await service("GET", f"/hello?token={authority.issue()}")).status == 200


async def test_token_in_header_and_url_returns_400(authority: FakeAuthority, service: GuardedService) -> None:
    token = authority.issue(allow_query=False)

    assert (await service.get(token, f"/hello?token={token}")).status == 400
    assert (await service.get(token, "/hello?token=")).status == 400


NETWORKS = ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("10.1.255.255", 200),
        ("10.2.0.0", 403),
        ("192.0.2.7:4567", 200),
        ("192.0.2.8", 403),
        ("2001:db8:ffff::1", 200),
        ("[2001:db8::1]:4567", 200),
        ("2001:db9::1", 403),
        ("::ffff:10.1.0.1", 200),
        ("fe80::1%eth0", 403),
        ("unknown", 403),
        ("", 403),
    ],
)
async def test_token_with_networks_returns_403_from_other_addresses(
    authority: FakeAuthority, service: GuardedService, forwarded: str, status: int
) -> None:
    token = authority.issue(allowed_ips=NETWORKS)

    answer = await service.get(token, **{"X-Forwarded-For": forwarded})

    assert answer.status == status
    if status == 403:
        assert slug(answer) == "address-not-allowed"


async def test_forged_forwarded_address_returns_403(authority: FakeAuthority, service: GuardedService) -> None:
    token = authority.issue(allowed_ips=NETWORKS)
    bearer = ("Authorization", f"Bearer {token}")
    in_one_line = [bearer, ("X-Forwarded-For", "10.1.0.1, 10.1.0.2, 6.6.6.6")]
    in_several = [bearer, ("X-Forwarded-For", "10.1.0.1"), ("x-forwarded-for", "6.6.6.6")]

    for headers in (in_one_line, in_several):
        answer = await service("GET", "/hello", headers=CIMultiDict(headers))
        assert (answer.status, slug(answer)) == (403, "address-not-allowed")
        assert "6.6.6.6" in answer.json["detail"]
    assert (await service.get(token)).status == 403


@pytest.mark.parametrize("guard_settings", [{}])
async def test_forwarded_header_is_ignored_without_trusted_proxy(
    authority: FakeAuthority, service: GuardedService
) -> None:
    local, remote = authority.issue(allowed_ips=["127.0.0.0/8"]), authority.issue(allowed_ips=["10.0.0.0/8"])

    assert (await service.get(local, **{"X-Forwarded-For": "10.0.0.1"})).status == 200
    assert (await service.get(remote, **{"X-Forwarded-For": "10.0.0.1"})).status == 403


async def test_request_beyond_rate_limit_returns_429_with_headers(
    authority: FakeAuthority, service: GuardedService
) -> None:
    token = authority.issue(rate_limit=2)

    answers = [await service.get(token) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert slug(answers[-1]) == "rate-limited"
    assert "2 requests per minute" in answers[-1].json["detail"]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"token";q=2;w=60'] * 3
    left = [re.fullmatch(r'"token";r=(\d);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [found and int(found[1]) for found in left] == [1, 0, 0]
    assert all(found and 1 <= int(found[2]) <= 60 for found in left)


@pytest.mark.parametrize(("path", "status"), [("/reports/OTHER", 403), ("/missing", 404), ("/reports/PLAT", 200)])
async def test_every_response_has_remaining_requests(
    authority: FakeAuthority, service: GuardedService, path: str, status: int
) -> None:
    token = authority.issue(rate_limit=60, scope="polls:read:PLAT")

    answer = await service.get(token, path)

    assert answer.status == status
    assert answer.headers["RateLimit"].startswith('"token";r=59;t=')


async def test_two_secrets_of_a_token_share_one_rate_limit(authority: FakeAuthority, service: GuardedService) -> None:
    old = authority.issue(rate_limit=2)
    new = authority.issue(authority.ids_of(old)[0], rate_limit=2)

    assert [(await service.get(token)).status for token in (old, new, old, new)] == [200, 200, 429, 429]


async def test_rate_limit_holds_exactly_over_all_replicas(
    authority: FakeAuthority, service: GuardedService, redis_url: str
) -> None:
    token = authority.issue(rate_limit=20)

    async with run_guarded_service(authority, redis_url) as other:
        answers = await asyncio.gather(*(each.get(token) for _ in range(25) for each in (service, other)))

    assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 30


async def test_token_without_rate_limit_is_not_counted_in_redis(
    authority: FakeAuthority, service: GuardedService, redis_url: str
) -> None:
    token = authority.issue()

    answer = await service.get(token)

    assert answer.status == 200
    assert not {"RateLimit", "RateLimit-Policy"} & answer.headers.keys()
    async with Redis.from_url(redis_url) as redis:
        assert not await redis.keys(f"pollgate:limit:*{authority.ids_of(token)[0]}*")


async def test_request_refused_for_presentation_does_not_count_against_rate_limit(
    authority: FakeAuthority, service: GuardedService
) -> None:
    token = authority.issue(allow_query=False, allowed_ips=["10.0.0.0/8"], rate_limit=1)

    refused = [
        slug(await service("GET", f"/hello?token={token}")),
        slug(await service.get(token, **{"X-Forwarded-For": "6.6.6.6"})),
    ]

    assert refused == ["query-not-allowed", "address-not-allowed"]
    assert (await service.get(token, **{"X-Forwarded-For": "10.0.0.1"})).status == 200


@pytest.mark.parametrize("fault", ["black hole", "refuse"])
async def test_rate_limit_without_redis_holds_per_replica_without_delay(
    authority: FakeAuthority, redis_url: str, fault: Mode
) -> None:
    token = authority.issue(rate_limit=5)
    await avoid_end_of_minute()
    async with run_proxy(redis_url) as proxy, run_guarded_service(authority, proxy.url()) as service:
        assert (await service.get(token)).status == 200

        proxy.set_mode(fault)
        answers, longest_s = [], 0.0
        for _ in range(10):
            started = time.monotonic()
            answers.append(await service.get(token))
            longest_s = max(longest_s, time.monotonic() - started)

        assert [answer.status for answer in answers] == [200] * 4 + [429] * 6
        assert answers[0].headers["RateLimit"].startswith('"token";r=3;t=')
        assert longest_s < WAIT_LIMIT_S
        assert b"pollgate_rate_limit_in_memory 1.0" in (await service("GET", "/metrics")).body


async def test_rate_limit_holds_over_all_replicas_again_after_redis_outage(
    authority: FakeAuthority, redis_url: str
) -> None:
    async with (
        run_proxy(redis_url) as proxy,
        run_guarded_service(authority, proxy.url()) as service,
        run_guarded_service(authority, redis_url) as other,
    ):
        proxy.set_mode("refuse")
        probe = authority.issue(rate_limit=10_000)
        await service.get(probe)

        proxy.set_mode("ok")
        async with asyncio.timeout(RETRY_S * 10):
            while b"pollgate_rate_limit_in_memory 1.0" in (await service("GET", "/metrics")).body:
                await service.get(probe)
                await asyncio.sleep(0.05)

        token = authority.issue(rate_limit=2)
        assert [(await each.get(token)).status for each in (service, other, service)] == [200, 200, 429]


async def test_uses_and_refusals_are_reported_per_secret(authority: FakeAuthority, redis_url: str) -> None:
    token = authority.issue(allow_query=False, allowed_ips=["127.0.0.1"], rate_limit=3, scope="polls:read:PLAT")
    second = authority.issue(authority.ids_of(token)[0])
    elsewhere = authority.issue(allowed_ips=["10.0.0.0/8"])
    async with run_guarded_service(authority, redis_url) as service:
        statuses = [
            (await service("GET", f"/hello?token={token}")).status,
            *[(await service.get(token, path)).status for path in ("/hello", "/reports/PLAT", "/reports/OTHER")],
            (await service.get(token)).status,
            (await service.get(second)).status,
            (await service.get(elsewhere)).status,
            (await service.get("pgt_unknown")).status,
        ]

    assert statuses == [403, 200, 200, 403, 429, 200, 403, 401]
    assert [authority.count_reported_uses(each) for each in (token, second, elsewhere)] == [(2, 3), (1, 0), (0, 1)]


async def test_handler_reads_metadata_and_cannot_change_metadata(
    authority: FakeAuthority, service: GuardedService
) -> None:
    token = authority.issue(metadata={"labels": {"env": "staging"}, "list": [1, {"a": None}]})

    answers = [await service.get(token) for _ in range(2)]

    assert [answer.json["env"] for answer in answers] == ["staging"] * 2
    assert answers[0].json["token_id"] == authority.ids_of(token)[0]


@pytest.mark.parametrize(
    "odd",
    [
        {"rate_limit": 0},
        {"rate_limit": "60"},
        {"allowed_ips": ["10.0.0.1/8"]},
        {"allowed_ips": ["everywhere"]},
        {"allowed_ips": "10.0.0.0/8"},
        {"allow_query": None},
        {"metadata": []},
    ],
    ids=str,
)
async def test_token_with_invalid_property_returns_503(
    authority: FakeAuthority, service: GuardedService, odd: dict[str, Any]
) -> None:
    assert (await service.get(authority.issue(**odd))).status == 503
