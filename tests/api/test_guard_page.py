"""The service that `docs/guard.md` shows works as the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from shared.guard import GuardSettings
from tests.support.stack import CLIENT_SECRET, Authority

PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(
    authority: Authority, redis_url: str, monkeypatch: pytest.MonkeyPatch, aiohttp_client: AiohttpClient
) -> Client:
    """Run the service of the page, configured by the variables of the page."""
    for name, value in {
        "TOKEN_AUTHORITY_URL": authority.base,
        "INTROSPECTION_CLIENT_ID": "polls",
        "INTROSPECTION_CLIENT_SECRET": CLIENT_SECRET,
        "REDIS_URL": redis_url,
        "RESOURCE_URL": "http://reports.internal",
    }.items():
        monkeypatch.setenv(name, value)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "reports"}
    exec(compile(example, str(PAGE), "exec"), namespace)  # noqa: S102 - a page of this repository
    app: web.Application = namespace["create_app"]()
    return await aiohttp_client(app)


async def test_example_checks_scopes_streams_and_leaves_public_routes_open(
    client: Client, authority: Authority
) -> None:
    issued = await authority.issue("polls:read:PLAT", metadata={"team": "web"})
    bearer = {"Authorization": f"Bearer {issued['token']}"}

    report = await client.get("/reports/PLAT/PLAT-1", headers=bearer)
    events = await client.get("/reports/PLAT/PLAT-1/events", headers=bearer)
    other = await client.get("/reports/OTHER/1", headers=bearer)
    token = await client.get("/token", headers=bearer)
    statuses = [(await client.get(path)).status for path in ("/token", "/version", "/metrics")]

    assert (report.status, await report.text()) == (200, f"Report on PLAT-1 for site {issued['site']}\n")
    assert (events.status, await events.text()) == (200, "data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert (other.status, (await other.json())["detail"]) == (403, "Missing scope: polls:read:OTHER/1.")
    assert await token.json() == {"token_id": issued["id"], "metadata": {"team": "web"}}
    assert statuses == [401, 200, 200]


def test_page_lists_every_setting_of_the_guard() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [name for name in GuardSettings.__struct_fields__ if f"| `{name.upper()}` |" not in page] == []
