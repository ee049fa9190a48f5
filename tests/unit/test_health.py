"""The responses of `/readyz`, and how often it runs its checks."""

import asyncio

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from shared.runtime.http import health
from shared.runtime.http.health import add_health
from shared.runtime.process.outage import Unavailable


async def test_concurrent_requests_run_a_check_once(
    aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "KEPT_S", 60.0)  # 50 connections may take longer to open than results are kept
    made = 0

    async def check() -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0.05)

    app = web.Application()
    add_health(app, required={"one": check}, reported={})
    client = await aiohttp_client(app)

    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))

    assert {answer.status for answer in answers} == {200}
    assert made == 1


async def test_failing_required_check_returns_503_and_failing_reported_check_200(aiohttp_client: AiohttpClient) -> None:
    async def fails() -> None:
        raise ConnectionError("to whatever")

    async def works() -> None:
        return

    for required, reported, status in (({"a": fails}, {"b": works}, 503), ({"a": works}, {"b": fails}, 200)):
        app = web.Application()
        add_health(app, required=required, reported=reported)

        answer = await (await aiohttp_client(app)).get("/readyz")

        assert answer.status == status
        assert set((await answer.json())["checks"].values()) == {"ok", "ConnectionError"}


async def test_reason_is_shown_to_the_networks_of_operators_only(aiohttp_client: AiohttpClient) -> None:
    async def fails() -> None:
        raise Unavailable("PostgreSQL at db.internal:5432: Connection refused")

    app = web.Application()
    add_health(app, required={"postgres": fails}, reported={})
    client = await aiohttp_client(app)

    inside = await client.get("/readyz", headers={"X-Forwarded-For": "10.0.0.1"})
    outside = await client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.7"})

    assert (inside.status, outside.status) == (503, 503)
    assert "db.internal" in (await inside.json())["checks"]["postgres"]
    assert await outside.json() == {"status": "unready", "checks": {"postgres": "failed"}}
