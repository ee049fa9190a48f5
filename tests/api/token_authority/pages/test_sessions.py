"""Sessions of the settings pages."""

import pytest

from tests.support.page_client import Browser, sign_in
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def test_page_after_sign_out_leads_to_sign_in(authority: Authority) -> None:
    browser = await sign_in(authority, authority.admin_key)
    page = await browser.get("/settings/tokens")

    signed_out = await browser.follow(await browser.send(page, "/settings/sign-out"))

    assert (page.status, "There are no access tokens yet." in page.text) == (200, True)
    assert "You are signed out." in signed_out.text
    assert (await browser.get("/settings/tokens")).location == "/settings/sign-in?next=/settings/tokens"
    assert (await Browser(authority).get("/settings/tokens?owner=x")).location.endswith("/settings/tokens?owner%3Dx")


async def test_search_leads_to_list_with_conditions_in_address(authority: Authority) -> None:
    browser = await sign_in(authority, authority.admin_key)

    found = await browser.submit("/settings/tokens", "/settings/tokens/search", search="x", expires="30")

    assert found.location == "/settings/tokens?search=x&expires=30"
    assert "No token matches." in (await browser.follow(found)).text
