"""The link that signs in once, in a real browser."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.browser import open_tab
from tests.support.databases import ClonedDatabase
from tests.support.ports import take_port
from tests.support.stack import HOST, Authority, run_token_authority


@pytest.fixture
async def local(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> AsyncGenerator[Authority, None]:
    """Return a token authority that knows its own port."""
    port = take_port()
    settings = {"token_authority_port": port, "token_authority_issuer": f"http://{HOST}:{port}"}
    async with run_token_authority(database, redis_url, tmp_path, **settings) as running:
        yield running


async def create_link(authority: Authority) -> str:
    """Create a link and return its path."""
    answer = await authority.manage("POST", "/v1/sign-in-links")
    assert answer.status == 201, answer.body
    return str(answer.json["url"].removeprefix(authority.base))


async def test_link_signs_in_once_and_leaves_no_code_in_the_address(browser: Browser, local: Authority) -> None:
    path = await create_link(local)

    async with open_tab(browser, local.base) as tab:
        await tab.open(path)
        await tab.shows("First admin key (admin)", "Access tokens")
        assert tab.path == "/settings/tokens"
        await tab.page.go_back()
        assert "code" not in tab.path
    async with open_tab(browser, local.base) as other:
        await other.open(path)
        await other.shows("This link was used before, or has expired.")


async def test_preview_of_a_link_does_not_use_it_up(browser: Browser, local: Authority) -> None:
    path = await create_link(local)

    await local("HEAD", path)

    async with open_tab(browser, local.base) as tab:
        await tab.open(path)
        await tab.shows("First admin key (admin)")
