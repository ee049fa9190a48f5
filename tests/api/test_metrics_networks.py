"""`/metrics` of both services is for the networks of `METRICS_NETWORKS` only, also through a proxy."""

from typing import Final

import pytest

from shared.runtime.http.operator_networks import read_networks
from shared.runtime.process.environment import SettingsError
from tests.support.databases import ClonedDatabase
from tests.support.stack import Authority, Caller, Polls, run_polls_service

INSIDE: Final[list[dict[str, str]]] = [
    {},
    {"X-Forwarded-For": "10.1.2.3"},
    {"X-Forwarded-For": "192.168.0.1:4567, [fd00::1]:80, ::ffff:10.0.0.1"},
]
OUTSIDE: Final[list[dict[str, str]]] = [
    {"X-Forwarded-For": "203.0.113.7"},
    {"X-Forwarded-For": "203.0.113.7, 10.1.2.3"},
    {"X-Forwarded-For": "10.1.2.3, 203.0.113.7"},
    {"X-Forwarded-For": "2001:db8::1"},
    {"X-Forwarded-For": "unknown"},
    {"X-Forwarded-For": ""},
    {"X-Forwarded-For": "10.1.2.3,"},
]


async def get_status(service: Caller, headers: dict[str, str]) -> tuple[int, bool]:
    """Return the status, and whether the body has metrics."""
    answer = await service("GET", "/metrics", headers=headers)
    return answer.status, b"pollgate_" in answer.body


async def test_metrics_from_private_networks_return_200_and_404_from_others(
    authority: Authority, polls: Polls, subtests: pytest.Subtests
) -> None:
    for service in (authority, polls):
        for headers in INSIDE:
            with subtests.test(service=type(service).__name__, **headers):
                assert await get_status(service, headers) == (200, True)
        for headers in OUTSIDE:
            with subtests.test(service=type(service).__name__, **headers):
                assert await get_status(service, headers) == (404, False)


@pytest.mark.parametrize(("networks", "status"), [("none", 404), ("10.0.0.0/8", 404), ("127.0.0.1, 10.0.0.0/8", 200)])
async def test_metrics_within_configured_networks_return_200(
    authority: Authority, database: ClonedDatabase, redis_url: str, networks: str, status: int
) -> None:
    async with run_polls_service(database, redis_url, authority.base, metrics_networks=networks) as polls:
        assert (await polls("GET", "/metrics")).status == status


@pytest.mark.parametrize("text", ["all", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8,", "10.0.0.0/8 ::1"])
def test_networks_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="METRICS_NETWORKS"):
        read_networks(text)
