"""The settings pages about administrators."""

from typing import Any

import pytest

from tests.support.page_client import Browser, Page, sign_in, sign_in_as
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

ADMINISTRATORS = "/settings/administrators"
NEW = "/settings/administrators/new"
MARKUP = "<b onclick='x'>&amp;\"</b>"


@pytest.fixture
async def browser(authority: Authority) -> Browser:
    """Return a browser with a session of the first admin key."""
    return await sign_in(authority, authority.admin_key)


async def list_admin_keys(authority: Authority) -> Any:
    return (await authority.manage("GET", "/v1/admin-keys")).json["items"]


async def create_administrator(browser: Browser, name: str = "Ada", role: str = "admin", **fields: Any) -> Page:
    return await browser.submit(NEW, name=name, role=role, **fields)


def path_of(made: Page) -> str:
    """Return the path of the administrator that was created."""
    (path,) = [link for link in made.links if link.startswith(f"{ADMINISTRATORS}/adm_")]
    return path


async def status_of(authority: Authority, admin_key: str) -> int:
    headers = {"Authorization": f"Bearer {admin_key}"}
    return (await authority("GET", "/v1/admin-keys/own", headers=headers)).status


async def own_path(authority: Authority) -> str:
    key_id = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    return f"{ADMINISTRATORS}/{key_id}"


async def test_created_administrator_signs_in_with_key_that_is_shown_once(
    authority: Authority, browser: Browser
) -> None:
    made = await create_administrator(browser)

    secret, path = made.value("secret"), path_of(made)
    assert made.status == 201
    assert f'data-then="{path}"' in made.html
    assert "Store it now. It is not shown again." in made.text
    assert "Ada you" in (await (await sign_in(authority, secret)).get(ADMINISTRATORS)).text
    shown = await browser.get(path)
    assert f"pga_…{secret[-4:]}" in shown.text
    assert not find_secrets(shown.html)


async def test_list_shows_limits_creator_and_revoked_ones(authority: Authority, browser: Browser) -> None:
    await create_administrator(browser, "CI", "issuer", scopes="polls:*:PLAT\r\n\r\npolls:read:OTHER/1\r\n")
    path = path_of(await create_administrator(browser, "Zoe"))
    await browser.submit(f"{path}/revoke")

    page = await browser.get(ADMINISTRATORS)

    made = {key["name"]: key for key in await list_admin_keys(authority)}
    assert made["CI"]["scopes"] == ["polls:*:PLAT", "polls:read:OTHER/1"]
    assert f"CI issuer polls:*:PLAT polls:read:OTHER/1 {made['CI']['hint']} First admin key Valid" in page.text
    assert f"First admin key you admin none {made['First admin key']['hint']} system Valid" in page.text
    assert f"Zoe admin none {made['Zoe']['hint']} First admin key Revoked" in page.text


async def test_repeated_form_for_new_administrator_shows_no_key_and_creates_nothing(
    authority: Authority, browser: Browser
) -> None:
    form = await browser.get(NEW)
    made = await browser.send(form, name="Ada", role="admin")
    before = await list_admin_keys(authority)

    repeated = await browser.send(form, name="Ada", role="admin")

    page = await browser.follow(repeated)
    assert repeated.location == f"{path_of(made)}?done=repeated"
    assert "This form was sent before" in page.text
    assert not find_secrets(page.html)
    assert await list_admin_keys(authority) == before
    assert await status_of(authority, made.value("secret")) == 200


async def test_repeated_form_to_rotate_shows_no_key_and_replaces_none(authority: Authority, browser: Browser) -> None:
    made = await create_administrator(browser)
    form = await browser.get(f"{path_of(made)}/rotate")

    rotated = await browser.send(form, overlap_s="0")
    repeated = await browser.send(form, overlap_s="0")

    keys = [made.value("secret"), rotated.value("secret")]
    assert (rotated.status, repeated.status, repeated.html) == (200, 303, "")
    assert [await status_of(authority, key) for key in keys] == [401, 200]


async def test_create_administrator_with_invalid_field_returns_422_with_what_was_typed(
    authority: Authority, browser: Browser, subtests: pytest.Subtests
) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 256}),
        ("role", {"role": None}),
        ("role", {"role": "owner"}),
        ("role", {"role": "admin", "scopes": "polls:*:PLAT"}),
        ("scopes", {"role": "issuer"}),
        ("scopes", {"role": "issuer", "scopes": "polls:*:PLAT\nnonsense"}),
        ("sites", {"role": "auditor", "site_limit": "some"}),
        ("sites", {"role": "auditor", "site_limit": "some", "sites": "site_unknown"}),
    ]
    for field, changed in cases:
        with subtests.test(field=field, changed=changed):
            page = await browser.submit(NEW, **{"name": "Ada", "role": "admin", **changed})

            assert page.status == 422
            assert f'id="{field}-error"' in page.html
            assert page.form().fields["name"] == [changed.get("name", "Ada")]
            assert page.form().fields["scopes"] == [changed.get("scopes", "")]
    assert len(await list_admin_keys(authority)) == 1


async def test_edit_changes_name_and_reduces_rights(authority: Authority, browser: Browser) -> None:
    made = await create_administrator(browser, "CI", "issuer", scopes="polls:*:PLAT\npolls:read:OTHER")
    path = f"{path_of(made)}/edit"
    before = (await browser.get(path)).form().fields

    edited = await browser.submit(path, name="CI of PLAT", role="auditor", scopes="polls:read:PLAT")

    key = {each["name"]: each for each in await list_admin_keys(authority)}["CI of PLAT"]
    assert (before["name"], before["role"]) == (["CI"], ["issuer"])
    assert before["scopes"][0].split() == ["polls:*:PLAT", "polls:read:OTHER"]
    assert "The admin key was changed." in (await browser.follow(edited)).text
    assert (key["role"], key["scopes"]) == ("auditor", ["polls:read:PLAT"])


async def test_edit_that_would_allow_more_returns_422_at_field(
    authority: Authority, browser: Browser, subtests: pytest.Subtests
) -> None:
    made = await create_administrator(browser, "CI", "issuer", scopes="polls:read:PLAT")
    path, before = f"{path_of(made)}/edit", await list_admin_keys(authority)
    for field, changed in [
        ("role", {"role": "admin", "scopes": "polls:read:PLAT"}),
        ("scopes", {"scopes": "polls:*:PLAT"}),
        ("scopes", {"scopes": ""}),
        ("scopes", {"scopes": "polls:read:PLAT/two words"}),
        ("name", {"name": MARKUP * 20}),
    ]:
        with subtests.test(field=field, changed=changed):
            page = await browser.submit(path, **{"name": "Other", **changed})

            assert page.status == 422
            assert f'id="{field}-error"' in page.html
            assert page.form().fields["name"] == [changed.get("name", "Other")]
    assert await list_admin_keys(authority) == before


async def test_last_admin_keeps_its_role(authority: Authority, browser: Browser) -> None:
    path = f"{await own_path(authority)}/edit"

    page = await browser.submit(path, role="auditor")
    renamed = await browser.submit(path, name="Ada")

    assert (page.status, "This is the last admin key in the role admin." in page.text) == (409, True)
    assert "If you reduce its role or its limits, your session ends." in page.text
    assert "Ada" in (await browser.follow(renamed)).text


async def test_revoked_administrator_no_longer_works(authority: Authority, browser: Browser) -> None:
    made = await create_administrator(browser)
    path, key = path_of(made), made.value("secret")
    session = await sign_in(authority, key)

    asked = await browser.get(f"{path}/revoke")
    revoked = await browser.follow(await browser.send(asked))
    repeated = await browser.send(asked)

    assert "no longer works, permanently, and its sessions end" in asked.text
    assert "This is your own key" not in asked.text
    assert "The admin key was revoked." in revoked.text
    assert revoked.actions == set()
    assert repeated.status == 303
    assert await status_of(authority, key) == 401
    assert (await session.get(ADMINISTRATORS)).status == 303
    assert [(await browser.get(f"{path}/{page}")).location for page in ("revoke", "rotate", "edit")] == [path] * 3


async def test_last_admin_cannot_be_revoked(authority: Authority, browser: Browser) -> None:
    await create_administrator(browser, "Compliance", "auditor")
    path = await own_path(authority)
    token = (await browser.get(path)).form("/settings/sign-out").filled({})

    asked = await browser.get(f"{path}/revoke")
    refused = await browser.post(f"{path}/revoke", token)

    assert (asked.status, refused.status) == (200, 409)
    assert asked.actions == refused.actions == set()
    assert "This is the last admin key in the role admin." in asked.text
    assert "This is the last admin key in the role admin." in refused.text
    assert await status_of(authority, authority.admin_key) == 200


async def test_revoking_own_key_ends_session_as_page_says(authority: Authority, browser: Browser) -> None:
    made = await create_administrator(browser)
    ada, path = await sign_in(authority, made.value("secret")), path_of(made)

    asked = await ada.get(f"{path}/revoke")
    revoked = await ada.send(asked)

    assert "This is your own key: your session ends with it, and you are signed out." in asked.text
    assert revoked.location == "/settings/sign-in?out=true"
    assert "You are signed out." in (await ada.follow(revoked)).text
    assert (await ada.get(path)).status == 303


async def test_rotating_own_key_shows_new_one_and_ends_session_as_page_says(
    authority: Authority, browser: Browser
) -> None:
    made = await create_administrator(browser)
    ada, path = await sign_in(authority, made.value("secret")), path_of(made)

    asked = await ada.get(f"{path}/rotate")
    rotated = await ada.send(asked, overlap_s="0")
    repeated = await ada.send(asked, overlap_s="0")

    assert "Your session ends with the secret that you signed in with" in asked.text
    assert await status_of(authority, rotated.value("secret")) == 200
    assert repeated.location.startswith("/settings/sign-in?ended=true&next=")
    assert repeated.html == ""


async def test_auditor_sees_administrators_and_changes_get_403(authority: Authority) -> None:
    auditor, path = await sign_in_as(authority, "auditor"), await own_path(authority)

    pages = [await auditor.get(page) for page in (ADMINISTRATORS, path)]

    assert [page.status for page in pages] == [200, 200]
    assert [page.actions for page in pages] == [set(), set()]
    assert not [link for page in pages for link in page.links if link.endswith(("/new", "/edit", "/rotate", "/revoke"))]
    assert await refused(auditor, path) == {403}
    assert len(await list_admin_keys(authority)) == 2


async def test_administrator_with_limits_gets_403(authority: Authority, subtests: pytest.Subtests) -> None:
    path = await own_path(authority)
    for role in ("issuer", "auditor"):
        with subtests.test(role=role):
            limited = await sign_in_as(authority, role, scopes=["polls:*:PLAT"])

            assert (await limited.get(ADMINISTRATORS)).status == (await limited.get(path)).status == 403
            assert await refused(limited, path) == {403}


async def refused(browser: Browser, path: str) -> set[int]:
    """Return the statuses of everything that only an admin may do, sent with the token of the session's forms."""
    token = (await browser.get("/settings/tokens")).form("/settings/sign-out").filled({})
    paths = [NEW, f"{path}/edit", f"{path}/rotate", f"{path}/revoke"]
    fields = [*token, ("name", "x"), ("role", "admin"), ("form_key", "x")]
    posted = {(await browser.post(each, fields)).status for each in paths}
    return posted | {(await browser.get(each)).status for each in paths}


async def test_forged_form_returns_403_and_changes_nothing(authority: Authority, browser: Browser) -> None:
    path = path_of(await create_administrator(browser))
    before = await list_admin_keys(authority)

    statuses = [
        *await browser.forge(NEW, name="forged", role="admin"),
        *await browser.forge(f"{path}/edit", name="forged"),
        *await browser.forge(f"{path}/rotate", overlap_s="0"),
        *await browser.forge(f"{path}/revoke"),
    ]

    assert set(statuses) == {403}
    assert await list_admin_keys(authority) == before


async def test_markup_in_fields_is_shown_as_text(browser: Browser) -> None:
    path = path_of(await create_administrator(browser, MARKUP))
    paths = [ADMINISTRATORS, path, f"{path}/edit", f"{path}/rotate", f"{path}/revoke"]

    pages = [await browser.get(each) for each in paths]
    refused = await create_administrator(browser, MARKUP, "issuer", scopes=MARKUP)

    assert all(MARKUP in page.text for page in pages)
    assert (refused.status, refused.form().fields["name"], refused.form().fields["scopes"]) == (422, [MARKUP], [MARKUP])
    assert not [page.path for page in [*pages, refused] if MARKUP in page.html]


async def test_unknown_administrator_returns_404(browser: Browser, subtests: pytest.Subtests) -> None:
    for path in ["adm_unknown", "adm_unknown/edit", "adm_unknown/rotate", "adm_unknown/revoke", "%00"]:
        with subtests.test(path=path):
            page = await browser.get(f"{ADMINISTRATORS}/{path}")

            assert (page.status, "Unknown admin key id." in page.text) == (404, True)
