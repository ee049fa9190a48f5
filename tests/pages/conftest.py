"""A browser for the tests of pages, which starts with the first of them."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest
from playwright.async_api import Browser

from tests.support.browser import Tab, open_tab, run_browser
from tests.support.stack import Authority, Polls


class OpenTab(Protocol):
    """Opens a tab at a service; see `tests.support.browser.open_tab`."""

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[Tab]: ...


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser, None]:
    """Return a browser."""
    async with run_browser() as running:
        yield running


@pytest.fixture
def new_tab(browser: Browser, authority: Authority) -> OpenTab:
    """Return a function that opens a tab at the token authority, with cookies of its own."""
    return lambda **options: open_tab(browser, authority.base, **options)


@pytest.fixture
async def tab(new_tab: OpenTab, authority: Authority) -> AsyncGenerator[Tab, None]:
    """Return a tab at the token authority that is signed in with its admin key."""
    async with new_tab() as opened:
        await opened.sign_in(authority.admin_key)
        yield opened


@pytest.fixture
def new_polls_tab(browser: Browser, polls: Polls) -> OpenTab:
    """Return a function that opens a tab at the polls service, with cookies of its own."""
    return lambda **options: open_tab(browser, polls.base, **options)
