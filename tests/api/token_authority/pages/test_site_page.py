"""The settings page about sites."""

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.page_client import sign_in, sign_in_as
from tests.support.postgres import fetch
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

SITES = "/settings/sites"
MARKUP = "<b onclick='x'>&amp;\"</b>"


async def add_site(database: ClonedDatabase, name: str = "B") -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', $2, $1, now())",
        "b" * 27,
        name,
    )


async def test_page_shows_endpoints_and_number_of_tokens(authority: Authority, database: ClonedDatabase) -> None:
    await add_site(database)
    (first, _) = (await authority.manage("GET", "/v1/sites")).json["items"]
    for site in ("site_b", "site_b", None):
        await authority.issue(site=site)
    browser = await sign_in(authority, authority.admin_key)

    page = await browser.get(SITES)

    endpoints = [f"http://127.0.0.1:8080/x1/{endpoint}" for endpoint in (first["endpoint_id"], "b" * 27)]
    assert f"{first['name']} {first['id']} {endpoints[0]} Copy 1" in page.text
    assert f"B site_b {endpoints[1]} Copy 2" in page.text
    assert "/settings/tokens?site=site_b" in page.links
    assert page.actions == set()


async def test_page_shows_sites_and_tokens_within_limits(authority: Authority, database: ClonedDatabase) -> None:
    await add_site(database)
    await authority.issue("polls:read:PLAT", site="site_b")
    await authority.issue("polls:read:OTHER", site="site_b")
    await authority.issue("polls:read:PLAT")
    browser = await sign_in_as(authority, "issuer", sites=["site_b"], scopes=["polls:*:PLAT"])

    page = await browser.get(SITES)

    assert f"B site_b http://127.0.0.1:8080/x1/{'b' * 27} Copy 1" in page.text
    assert page.text.count("/x1/") == 1


async def test_markup_in_name_is_shown_as_text(authority: Authority, database: ClonedDatabase) -> None:
    await add_site(database, MARKUP)
    browser = await sign_in(authority, authority.admin_key)

    pages = [await browser.get(path) for path in (SITES, "/settings/services/_new", "/settings/administrators/new")]

    assert [(MARKUP in page.text, MARKUP in page.html) for page in pages] == [(True, False)] * 3
