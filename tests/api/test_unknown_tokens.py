"""Made-up tokens from one address: limited to a share of the introspections, and refused beyond a number per minute."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from shared.contract.token import mint
from tests.support.fake_authority import FakeAuthority, GuardedService, run_fake_authority, run_guarded_service
from tests.support.stack import Answer

LIMIT: Final = 5
GUESSER: Final = "203.0.113.7"


@pytest.fixture
async def authority() -> AsyncGenerator[FakeAuthority, None]:
    async with run_fake_authority() as running:
        yield running


@pytest.fixture
async def service(authority: FakeAuthority, redis_url: str) -> AsyncGenerator[GuardedService, None]:
    async with run_guarded_service(
        authority, redis_url, trusted_proxy_hops=1, unknown_tokens_per_minute=LIMIT
    ) as running:
        yield running


async def send(service: GuardedService, token: str, address: str = GUESSER) -> Answer:
    answer: Answer = await service.get(token, **{"X-Forwarded-For": address})
    return answer


async def test_unknown_tokens_beyond_limit_of_address_return_429(service: GuardedService) -> None:
    answers = [await send(service, mint("pgt")) for _ in range(LIMIT + 1)]

    assert [answer.status for answer in answers] == [401] * LIMIT + [429]
    assert answers[-1].json["type"] == "/docs/problems/too-many-attempts"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert (await send(service, mint("pgt"), "198.51.100.1")).status == 401


async def test_working_tokens_from_address_beyond_limit_return_200(
    authority: FakeAuthority, service: GuardedService
) -> None:
    cached = authority.issue()
    assert (await send(service, cached)).status == 200
    for _ in range(LIMIT + 1):
        await send(service, mint("pgt"))

    flood = [asyncio.create_task(send(service, mint("pgt"))) for _ in range(20)]
    good = await asyncio.gather(*(send(service, token) for token in (cached, authority.issue(), authority.issue())))

    assert {answer.status for answer in good} == {200}
    assert {answer.status for answer in await asyncio.gather(*flood)} == {429}


async def test_ipv6_addresses_count_per_64_network_and_mapped_ones_as_ipv4(service: GuardedService) -> None:
    cases = {
        "2001:db8::{}": ("2001:db8::ffff", "2001:db8:0:1::1"),
        "::ffff:192.0.2.1": ("192.0.2.1", "192.0.2.2"),
    }
    for pattern, (same, other) in cases.items():
        for number in range(LIMIT):
            assert (await send(service, mint("pgt"), pattern.format(number))).status == 401

        assert (await send(service, mint("pgt"), same)).status == 429
        assert (await send(service, mint("pgt"), other)).status == 401


async def test_same_unknown_token_and_malformed_tokens_do_not_count_again(service: GuardedService) -> None:
    unknown = mint("pgt")

    statuses = {(await send(service, token)).status for token in [unknown, mint("pgt")[:-1]] * (LIMIT + 1)}

    assert statuses == {401}


async def test_secret_of_another_kind_returns_401_with_its_name_and_does_not_count(service: GuardedService) -> None:
    for secret, name in ((mint("pga"), "an admin key"), (mint("pgs"), "a client secret")):
        for _ in range(LIMIT + 1):
            answer = await send(service, secret)
            assert answer.status == 401
            assert answer.json["detail"].startswith(f"This is {name}, not an access token: send pgt_")

    assert (await send(service, mint("pgt"))).status == 401
