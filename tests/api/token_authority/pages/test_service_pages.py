"""The settings pages about services."""

from typing import Any

import pytest

from tests.support.client_keys import ClientKey
from tests.support.databases import ClonedDatabase
from tests.support.page_client import Browser, Page, sign_in, sign_in_as
from tests.support.postgres import fetch
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import CLIENT_SECRET, Authority

pytestmark = pytest.mark.shared_services

SERVICES = "/settings/services"
NEW = "/settings/services/_new"
MARKUP = "<b onclick='x'>&amp;\"</b>"


@pytest.fixture
async def browser(authority: Authority) -> Browser:
    """Return a browser with a session of the first admin key."""
    return await sign_in(authority, authority.admin_key)


async def create_service(browser: Browser, client_id: str = "reports", **fields: Any) -> Page:
    return await browser.submit(NEW, client_id=client_id, **fields)


async def list_services(authority: Authority) -> Any:
    return (await authority.manage("GET", "/v1/services")).json["items"]


async def is_accepted(authority: Authority, secret: str, client_id: str = "reports") -> bool:
    return (await authority.introspect("x", client_id, secret)).status == 200


async def test_created_service_works_with_secret_that_is_shown_once(authority: Authority, browser: Browser) -> None:
    made = await create_service(browser, name="Weekly reports")

    secret = made.value("secret")
    shown = await browser.get("/settings/services/reports")
    assert made.status == 201
    assert 'data-then="/settings/services/reports"' in made.html
    assert "Store it now. It is not shown again." in made.text
    assert await is_accepted(authority, secret)
    assert "Weekly reports" in (await browser.get(SERVICES)).text
    assert f"pgs_…{secret[-4:]}" in shown.text
    assert not find_secrets(shown.html)


async def test_repeated_form_for_new_service_shows_no_secret_and_creates_nothing(
    authority: Authority, browser: Browser
) -> None:
    form = await browser.get(NEW)
    secret = (await browser.send(form, client_id="reports")).value("secret")
    before = await list_services(authority)

    repeated = await browser.send(form, client_id="reports")
    with_other_fields = await browser.send(form, client_id="others")

    page = await browser.follow(repeated)
    assert repeated.location == with_other_fields.location == "/settings/services/reports?done=repeated"
    assert "This form was sent before" in page.text
    assert not find_secrets(repeated.html + page.html)
    assert await list_services(authority) == before
    assert await is_accepted(authority, secret)


async def test_repeated_form_to_rotate_shows_no_secret_and_replaces_none(
    authority: Authority, browser: Browser
) -> None:
    old = (await create_service(browser)).value("secret")
    form = await browser.get(f"{SERVICES}/reports/rotate")

    rotated = await browser.send(form, overlap_s="3600")
    repeated = await browser.send(form, overlap_s="3600")

    new = rotated.value("secret")
    assert (rotated.status, repeated.status, repeated.html) == (200, 303, "")
    assert "The older secrets end at the latest" in rotated.text
    assert [await is_accepted(authority, secret) for secret in (old, new)] == [True, True]
    assert (await browser.get(f"{SERVICES}/reports")).text.count("pgs_…") == 2


async def test_rotation_without_overlap_ends_old_secret(authority: Authority, browser: Browser) -> None:
    old = (await create_service(browser)).value("secret")

    new = (await browser.submit(f"{SERVICES}/reports/rotate", overlap_s="0", end_on_use="true")).value("secret")

    assert [await is_accepted(authority, secret) for secret in (old, new)] == [False, True]
    assert "Does not work" in (await browser.get(f"{SERVICES}/reports")).text


async def test_rotation_beyond_maximum_of_secrets_returns_409_at_field(browser: Browser) -> None:
    await create_service(browser)
    rotations = [await browser.submit(f"{SERVICES}/reports/rotate") for _ in range(5)]

    refused = rotations[-1]

    assert [page.status for page in rotations] == [200, 200, 200, 200, 409]
    assert "The maximum of 5 secrets are valid. Wait until one ends, or let them end now." in refused.text
    assert 'aria-describedby="overlap_s-error"' in refused.html
    again = await browser.send(refused, overlap_s="0")
    assert again.status == 200


async def test_service_with_public_key_has_no_secret(browser: Browser) -> None:
    made = await create_service(browser, method="public_key", public_key=ClientKey().public_pem.replace("\n", "\r\n"))

    page = await browser.follow(made)
    assert made.location == "/settings/services/reports?done=created"
    assert "The service was created." in page.text
    assert "Authenticates by its public key" in page.text
    assert "-----BEGIN PUBLIC KEY-----" in page.text


async def test_create_service_with_invalid_field_returns_422_with_what_was_typed(
    browser: Browser, authority: Authority, subtests: pytest.Subtests
) -> None:
    typed = {"client_id": "a", "name": "Weekly", "method": "public_key", "public_key": ClientKey().public_pem}
    for field, value in [("client_id", "a b"), ("client_id", ""), ("name", "x" * 256), ("public_key", "nonsense")]:
        with subtests.test(field=field):
            page = await create_service(browser, **{**typed, field: value})

            fields = page.form().fields
            assert page.status == 422
            assert f'id="{field}-error"' in page.html
            assert {name: fields[name][0].strip() for name in typed} == {
                name: text.strip() for name, text in {**typed, field: value}.items()
            }
    assert len(await list_services(authority)) == 1


async def test_form_that_was_corrected_creates_service(authority: Authority, browser: Browser) -> None:
    wrong = await create_service(browser, "a b")

    made = await browser.send(wrong, client_id="reports")

    assert (wrong.status, made.status) == (422, 201)
    assert await is_accepted(authority, made.value("secret"))


async def test_create_service_with_existing_client_id_returns_409_at_field(
    authority: Authority, browser: Browser
) -> None:
    page = await create_service(browser, "polls", name="Another")

    assert page.status == 409
    assert "A service with this client id already exists." in page.text
    assert page.form().fields["name"] == ["Another"]
    assert await is_accepted(authority, CLIENT_SECRET, "polls")


async def test_edit_changes_name_and_sites(authority: Authority, browser: Browser, database: ClonedDatabase) -> None:
    await add_site(database)
    await create_service(browser, name="Weekly", site_limit="some", sites=["site_b"])
    path = f"{SERVICES}/reports/edit"
    before = (await browser.get(path)).form().fields

    without_sites = await browser.submit(path, sites=None)
    edited = await browser.submit(path, name="Daily", site_limit="all")

    service = (await authority.manage("GET", "/v1/services/reports")).json
    assert (before["name"], before["site_limit"], before["sites"]) == (["Weekly"], ["some"], ["site_b"])
    assert (without_sites.status, "Choose at least one site, or all sites." in without_sites.text) == (422, True)
    assert "The service was changed." in (await browser.follow(edited)).text
    assert (service["name"], service["sites"]) == ("Daily", None)


async def test_disabled_service_is_refused_until_enabled(authority: Authority, browser: Browser) -> None:
    secret = (await create_service(browser)).value("secret")
    path = f"{SERVICES}/reports"

    asked = await browser.get(f"{path}/disable")
    disabled = await browser.follow(await browser.send(asked))
    refused = not await is_accepted(authority, secret)
    enabled = await browser.follow(await browser.submit(path, f"{path}/enable"))

    assert "Its guards answer from their caches until their leases expire" in asked.text
    assert ("The service was disabled." in disabled.text, refused) == (True, True)
    assert "The service was enabled." in enabled.text
    assert await is_accepted(authority, secret)


async def test_auditor_sees_services_and_changes_get_403(authority: Authority) -> None:
    auditor = await sign_in_as(authority, "auditor")

    pages = [await auditor.get(path) for path in (SERVICES, f"{SERVICES}/polls")]

    assert [page.status for page in pages] == [200, 200]
    assert [page.actions for page in pages] == [set(), set()]
    assert not [
        link for page in pages for link in page.links if link.endswith(("_new", "/edit", "/rotate", "/disable"))
    ]
    assert await refused(auditor) == {403}
    assert [service["disabled_at"] for service in await list_services(authority)] == [None]


async def test_issuer_gets_403_for_services(authority: Authority) -> None:
    issuer = await sign_in_as(authority, "issuer")

    assert (await issuer.get(SERVICES)).status == (await issuer.get(f"{SERVICES}/polls")).status == 403
    assert "/settings/services" not in (await issuer.get("/settings/tokens")).links
    assert await refused(issuer) == {403}


async def refused(browser: Browser) -> set[int]:
    """Return the statuses of everything that only an admin may do, sent with the token of the session's forms."""
    token = (await browser.get("/settings/tokens")).form("/settings/sign-out").filled({})
    actions = [f"{SERVICES}/polls/{action}" for action in ("edit", "rotate", "disable", "enable")]
    fields = [*token, ("client_id", "x"), ("form_key", "x")]
    posted = {(await browser.post(path, fields)).status for path in [NEW, *actions]}
    return posted | {(await browser.get(path)).status for path in [NEW, *actions[:-1]]}


async def test_forged_form_returns_403_and_changes_nothing(authority: Authority, browser: Browser) -> None:
    await create_service(browser)
    before = await list_services(authority)

    statuses = [
        *await browser.forge(NEW, client_id="forged"),
        *await browser.forge(f"{SERVICES}/reports/edit", name="forged"),
        *await browser.forge(f"{SERVICES}/reports/rotate", overlap_s="0"),
        *await browser.forge(f"{SERVICES}/reports/disable"),
    ]

    assert set(statuses) == {403}
    assert await list_services(authority) == before
    assert (await browser.get(f"{SERVICES}/reports")).text.count("pgs_…") == 1


async def test_markup_in_fields_is_shown_as_text(browser: Browser) -> None:
    await create_service(browser, name=MARKUP)
    paths = [SERVICES, f"{SERVICES}/reports", f"{SERVICES}/reports/edit"]

    pages = [await browser.get(path) for path in paths]
    refused = await create_service(browser, MARKUP, name=MARKUP, method="public_key", public_key=MARKUP)

    assert [MARKUP in page.text for page in pages] == [True, True, False]
    assert pages[2].form().fields["name"] == [MARKUP]
    assert {name: refused.form().fields[name] for name in ("client_id", "name", "public_key")} == {
        "client_id": [MARKUP],
        "name": [MARKUP],
        "public_key": [MARKUP],
    }
    assert not [page.path for page in [*pages, refused] if MARKUP in page.html]


async def test_unknown_service_returns_404(browser: Browser, subtests: pytest.Subtests) -> None:
    for path in ["unknown", "unknown/edit", "unknown/rotate", "unknown/disable", "%00", "..%2Fpolls"]:
        with subtests.test(path=path):
            page = await browser.get(f"{SERVICES}/{path}")

            assert (page.status, "Unknown client id." in page.text) == (404, True)


async def add_site(database: ClonedDatabase) -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', 'B', $1, now())",
        "b" * 27,
    )
