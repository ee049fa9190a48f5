"""The pages about tokens: who may do what, what is shown once, and what is refused."""

import asyncio
from typing import Any, Final

import pytest

from tests.support.page_client import Browser, sign_in
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

TOKENS: Final = "/settings/tokens"
PAGES: Final = ("", "/edit", "/rotate", "/disable", "/revoke")
MARKUP: Final = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SCOPE: Final = {"scope-0-workspace": "PLAT", "scope-0-action": "read"}


async def browser_of(authority: Authority, role: str, **limits: Any) -> Browser:
    """Return a browser with a session of a new admin key in this role."""
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "second", "role": role, **limits})
    return await sign_in(authority, answer.json["key"])


@pytest.fixture
async def browser(authority: Authority) -> Browser:
    """Return a browser with a session of the first admin key."""
    return await sign_in(authority, authority.admin_key)


async def count_tokens(authority: Authority) -> int:
    """Return how many tokens there are."""
    return len((await authority.manage("GET", "/v1/tokens")).json["items"])


async def test_created_token_has_what_the_form_says(browser: Browser, authority: Authority) -> None:
    page = await browser.submit(
        f"{TOKENS}/new",
        name="Report",
        description="Weekly.\r\nFor the board.",
        owner="ada",
        **{
            "scope-0-workspace": "PLAT",
            "scope-0-content": "PLAT-1",
            "scope-0-container": "a/b c",
            "scope-0-action": ["read", "vote"],
        },
        expires="never",
        allow_query=None,
        self_rotation="true",
        allowed_ips="203.0.113.7, 10.0.0.0/8",
        rate_limit="600",
        metadata='{"team": "payments"}',
    )

    token = (await authority.manage("GET", "/v1/tokens")).json["items"][0]
    assert page.status == 201
    expected = {
        "name": "Report",
        "description": "Weekly.\nFor the board.",
        "owner": "ada",
        "scopes": ["polls:read,vote:PLAT/PLAT-1/a%2Fb%20c"],
        "expires_at": None,
        "allow_query": False,
        "self_rotation": True,
        "allowed_ips": ["203.0.113.7/32", "10.0.0.0/8"],
        "rate_limit": 600,
        "metadata": {"team": "payments"},
    }
    assert {name: token[name] for name in expected} == expected


async def test_form_that_is_sent_again_creates_nothing_and_shows_no_secret(
    browser: Browser, authority: Authority
) -> None:
    form = await browser.get(f"{TOKENS}/new")
    created = await browser.send(form, name="Report", **SCOPE)
    secret = created.value("secret")

    again = await browser.send(form, name="Report", **SCOPE)
    page = await browser.follow(again)

    assert again.status == 303
    assert "the secret was shown once then" in page.text
    assert not find_secrets(again.html + page.html)
    assert await count_tokens(authority) == 1
    assert (await authority.introspect(secret)).json["active"]


async def test_forms_that_are_sent_at_once_create_one_token_and_show_one_secret(
    browser: Browser, authority: Authority
) -> None:
    form = await browser.get(f"{TOKENS}/new")

    pages = await asyncio.gather(*(browser.send(form, name="Report", **SCOPE) for _ in range(5)))

    assert sorted(page.status for page in pages) == [201, 303, 303, 303, 303]
    (shown,) = (page.value("secret") for page in pages if page.status == 201)
    assert (await authority.introspect(shown)).json["active"]
    assert await count_tokens(authority) == 1


async def test_token_with_a_hundred_scopes_can_be_edited(browser: Browser, authority: Authority) -> None:
    scopes = [f"polls:read,create,update,delete,vote,results:WS{number}/a/b" for number in range(100)]
    issued = await authority.issue(*scopes, name="Report")

    page = await browser.submit(f"{TOKENS}/{issued['id']}/edit", description="changed")

    assert page.status == 200, page.text
    token = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert (token["description"], token["scopes"]) == ("changed", scopes)


async def test_token_for_a_workspace_called_any_can_be_edited(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue("polls:read:ANY", name="Report")

    page = await browser.submit(f"{TOKENS}/{issued['id']}/edit", description="changed")

    assert page.status == 200
    assert "Token changed" in page.text


async def test_error_of_a_box_is_shown_at_the_box(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", allow_query=False)

    page = await browser.submit(f"{TOKENS}/{issued['id']}/edit", allow_query="true")

    assert page.status == 422
    assert "Must stay false; issue a new token instead." in page.text


async def test_rotation_form_that_is_sent_again_rotates_once(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue(name="Report")
    form = await browser.get(f"{TOKENS}/{issued['id']}/rotate")
    rotated = await browser.send(form, overlap_s="0")
    secret = rotated.value("secret")

    again = await browser.send(form, overlap_s="0")

    assert again.status == 303
    assert "the secret was shown once then" in (await browser.follow(again)).text
    assert (await authority.introspect(secret)).json["active"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": " "}, "Enter a name."),
        ({"scope-0-action": None}, "Choose what the token may do in place 1"),
        ({"scope-0-workspace": "ANY"}, "No workspace is called ANY; open Every workspace below instead."),
        ({"expires": "day", "expires_on": ""}, "Choose a day."),
        ({"scope-0-workspace": ""}, "Enter the workspace of place 1"),
        ({"scope-0-container": "macro-7"}, "Enter the content of place 1"),
        ({"expires": "day", "expires_on": "2001-01-01"}, "Must be in the future"),
        ({"expires": "day", "expires_on": "soon"}, "Expected a time"),
        ({"allowed_ips": "10.0.0.1/8"}, "Number 1: must be an address or a network"),
        ({"rate_limit": "many"}, "Must be 1 to 1,000,000 requests per minute; leave it empty for no limit."),
        ({"metadata": "[1]"}, "Must be a JSON object"),
        ({"site": "site_unknown"}, "Unknown site id"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_wrong_field_is_marked_and_nothing_that_was_typed_is_lost(
    browser: Browser, authority: Authority, fields: dict[str, str | None], message: str
) -> None:
    usual = {"name": "Report", "description": "for the board", "owner": "ada", **SCOPE}
    if "site" in fields:
        form = await browser.get(f"{TOKENS}/new")
        page = await browser.post(f"{TOKENS}/new", [*form.form().filled(usual), ("site", "site_unknown")])
    else:
        page = await browser.submit(f"{TOKENS}/new", **{**usual, **fields})

    assert page.status == 422
    assert message in page.text
    shown = page.form().fields
    assert shown["description"] == ["for the board"]
    for name, text in fields.items():
        if text and text.strip() and name != "site":
            assert text in shown[name]
    assert await count_tokens(authority) == 0


async def test_secret_in_a_field_is_refused_and_not_shown_again(browser: Browser, authority: Authority) -> None:
    secret = (await authority.issue())["token"]

    page = await browser.submit(f"{TOKENS}/new", name=f"uses {secret}", **SCOPE)

    assert page.status == 422
    assert "Must not contain a secret" in page.text
    assert not find_secrets(page.html)


@pytest.mark.parametrize("field", ["name", "description", "owner"])
async def test_markup_in_a_text_is_shown_as_text(browser: Browser, field: str) -> None:
    created = await browser.submit(f"{TOKENS}/new", **{"name": "x", **SCOPE, field: f"{MARKUP} x"})
    token_path = next(link for link in created.links if link.startswith(f"{TOKENS}/tok_"))

    pages = [created, await browser.get(TOKENS), *[await browser.get(f"{token_path}{end}") for end in PAGES]]

    for page in pages:
        assert page.status in (200, 201)
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html


async def test_markup_in_scope_metadata_and_reasons_is_shown_as_text(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue(
        "polls:read:%3Cscript%3Ealert%281%29%3C%2Fscript%3E", metadata={"<script>alert(1)</script>": "<b>"}
    )
    path = f"{TOKENS}/{issued['id']}"
    await browser.submit(f"{path}/disable", text=MARKUP)
    disabled = await browser.get(path)
    await browser.submit(f"{path}/revoke", reason="other", text=MARKUP)

    for page in (disabled, await browser.get(path), await browser.get(TOKENS)):
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html


async def test_edit_reduces_what_a_token_may_do(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue("polls:read,create:PLAT", name="Report", expires_in="90d")

    page = await browser.submit(
        f"{TOKENS}/{issued['id']}/edit", name="New name", **{"scope-0-action": "read"}, expires="7d"
    )

    token = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert page.status == 200
    assert "In force everywhere" in page.text
    assert (token["name"], token["scopes"]) == ("New name", ["polls:read:PLAT"])
    assert token["expires_at"] < issued["expires_at"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scope-0-action": ["read", "delete"]}, "is beyond the scopes of the token"),
        ({"expires": "day", "expires_on": "2099-01-01"}, "Must not be later than the current expiry"),
        ({"rate_limit": ""}, "Must not be higher than the current limit"),
        ({"allowed_ips": "0.0.0.0/0"}, "Must be within the current networks"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_edit_that_allows_more_is_refused_at_its_field(
    browser: Browser, authority: Authority, fields: dict[str, str], message: str
) -> None:
    issued = await authority.issue("polls:read:PLAT", expires_in="90d", rate_limit=60, allowed_ips=["10.0.0.0/8"])

    page = await browser.submit(f"{TOKENS}/{issued['id']}/edit", **fields)

    assert page.status == 422
    assert message in page.text
    assert "aria-invalid" in page.html


async def test_edit_without_a_difference_changes_nothing(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue(
        "polls:*:*", "polls:read:PLAT/a%20b/c", description="one\ntwo", metadata={"a": [1]}, allowed_ips=["10.0.0.1"]
    )

    page = await browser.submit(f"{TOKENS}/{issued['id']}/edit")

    assert page.location == f"{TOKENS}/{issued['id']}?done=unchanged"
    actions = [each["action"] for each in (await authority.manage("GET", "/v1/audit")).json["items"]]
    assert "token.change" not in actions


class TestRoles:
    """What a role may not do is not offered, and refused."""

    async def test_auditor_sees_tokens_and_no_way_to_change_them(self, authority: Authority) -> None:
        issued = await authority.issue(name="Report")
        browser = await browser_of(authority, "auditor")

        pages = [await browser.get(TOKENS), await browser.get(f"{TOKENS}/{issued['id']}")]

        assert [page.actions - {f"{TOKENS}/search"} for page in pages] == [{f"{TOKENS}/selected"}, set()]
        for page in pages:
            assert not [link for link in page.links if link.endswith(("/new", "/edit", "/rotate", "/revoke"))]
        for path in (f"{TOKENS}/new", *(f"{TOKENS}/{issued['id']}{page}" for page in PAGES[1:])):
            assert (await browser.get(path)).status == 403
            fields = [("form_token", pages[0].forms[0].fields["form_token"][0])]
            assert (await browser.post(path, fields)).status == 403
        assert (await authority.introspect(issued["token"])).json["active"]

    async def test_issuer_sees_and_issues_only_within_its_limits(self, authority: Authority) -> None:
        mine = await authority.issue("polls:read:PLAT/1", name="mine")
        other = await authority.issue("polls:read:OPS", name="foreign")
        browser = await browser_of(authority, "issuer", scopes=["polls:read:PLAT"])

        listed = await browser.get(TOKENS)
        created = await browser.submit(f"{TOKENS}/new", name="x", **{**SCOPE, "scope-0-workspace": "OPS"})

        assert "mine" in listed.text
        assert "foreign" not in listed.text
        assert [(await browser.get(f"{TOKENS}/{each['id']}")).status for each in (mine, other)] == [200, 404]
        assert created.status == 403
        assert "The scope 'polls:read:OPS' is beyond your limits" in created.text

    async def test_issuer_cannot_act_on_a_foreign_token_by_its_id(self, authority: Authority) -> None:
        other = await authority.issue("polls:read:OPS", name="foreign")
        browser = await browser_of(authority, "issuer", scopes=["polls:read:PLAT"])
        token = [("form_token", (await browser.get(f"{TOKENS}/new")).form().fields["form_token"][0])]

        for page in ("edit", "rotate", "disable", "enable", "revoke"):
            path = f"{TOKENS}/{other['id']}/{page}"
            assert (await browser.post(path, [*token, ("reason", "leaked")])).status == 404
        chosen = [*token, ("id", other["id"]), ("reason", "leaked")]
        assert "0 tokens revoked" in (await browser.post(f"{TOKENS}/selected/revoke", chosen)).text
        assert "0 tokens disabled" in (await browser.post(f"{TOKENS}/selected/disable", chosen)).text
        assert (await authority.introspect(other["token"])).json["active"]


class TestSelection:
    """Several tokens at once."""

    async def test_page_names_the_number_and_the_first_ten_and_changes_nothing(
        self, browser: Browser, authority: Authority
    ) -> None:
        issued = [await authority.issue(name=f"bot {number:02}") for number in range(12)]
        listed = await browser.get(TOKENS)

        page = await browser.send(listed, f"{TOKENS}/selected", id=[each["id"] for each in issued], action="revoke")

        assert "Revoke 12 tokens" in page.text
        assert "bot 09 and 2 more" in page.text
        assert "bot 10" not in page.text
        assert (await authority.introspect(issued[0]["token"])).json["active"]

    @pytest.mark.parametrize("action", ["revoke", "disable"])
    async def test_selected_tokens_stop_working_everywhere(
        self, browser: Browser, authority: Authority, action: str
    ) -> None:
        issued = [await authority.issue(name=f"bot {number}") for number in range(3)]
        await authority.revoke(issued[2]["id"])
        listed = await browser.get(TOKENS)

        asked = await browser.send(listed, f"{TOKENS}/selected", id=[each["id"] for each in issued], action=action)
        fields = {"reason": "unneeded"} if action == "revoke" else {"text": "looked unused"}
        page = await browser.send(asked, **fields)

        assert f"2 tokens {action.removesuffix('e')}ed" in page.text
        assert "In force everywhere" in page.text
        assert not [each for each in issued if (await authority.introspect(each["token"])).json["active"]]

    async def test_without_a_selection_nothing_happens(self, browser: Browser, authority: Authority) -> None:
        await authority.issue()

        page = await browser.submit(TOKENS, f"{TOKENS}/selected", action="revoke")

        assert "No token was selected" in (await browser.follow(page)).text


class TestList:
    """Search, filters and order."""

    async def test_conditions_get_into_the_address(self, browser: Browser, authority: Authority) -> None:
        await authority.issue("polls:read:PLAT", name="Weekly report", owner="ada")
        await authority.issue("polls:read:OPS", name="Other report", owner="bob")

        found = await browser.submit(TOKENS, f"{TOKENS}/search", search="report", scope="PLAT/1", owner="ada")
        page = await browser.follow(found)

        assert found.location == f"{TOKENS}?search=report&owner=ada&scope=PLAT/1"
        assert "Weekly report" in page.text
        assert "Other report" not in page.text

    async def test_secret_in_the_search_leads_to_its_token_and_not_into_an_address(
        self, browser: Browser, authority: Authority
    ) -> None:
        issued = await authority.issue(name="Report")

        found = await browser.submit(TOKENS, f"{TOKENS}/search", search=f" {issued['token']} ")
        page = await browser.follow(found)

        assert found.location.startswith(f"{TOKENS}/{issued['id']}?found=sec_")
        assert f"The secret that you entered, {issued['hint']}, belongs to this token. It works." in page.text

    @pytest.mark.parametrize("field", ["search", "owner", "scope"])
    async def test_unknown_secret_is_reported_at_its_field(self, browser: Browser, field: str) -> None:
        page = await browser.submit(TOKENS, f"{TOKENS}/search", **{field: "pgt_" + "x" * 38})

        assert page.status == 422
        assert "No token that you may see has this secret." in page.text
        assert not find_secrets(page.html)

    async def test_tabs_count_what_the_other_conditions_leave(self, browser: Browser, authority: Authority) -> None:
        issued = [await authority.issue(name=f"report {number}", expires_in="30d") for number in range(3)]
        await authority.revoke(issued[0]["id"])
        await authority.issue(name="other")

        page = await browser.get(TOKENS, search="report")

        assert "All 3 Active 2 Expiring 0 Disabled 0 Expired 0 Revoked 1" in page.text

    async def test_scope_that_is_none_is_explained(self, browser: Browser) -> None:
        page = await browser.get(TOKENS, scope="polls:fly:PLAT")

        assert page.status == 422
        assert "an action is one of" in page.text

    async def test_empty_list_says_what_to_do(self, browser: Browser) -> None:
        page = await browser.get(TOKENS)

        assert "There are no access tokens yet. Create the first one" in page.text

    async def test_long_list_has_pages(self, browser: Browser, authority: Authority) -> None:
        for number in range(81):
            await authority.issue("polls:read:PLAT", name=f"bot {number:03}")

        first = await browser.get(TOKENS)
        following = await browser.get(next(link for link in first.links if "cursor=" in link))

        assert "bot 079" in first.text
        assert "bot 080" not in first.text
        assert "bot 080" in following.text
        assert len(first.html) < 60_000


class TestPolicy:
    """The authority limits the lifetime of tokens."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"max_token_lifetime_days": 45}

    async def test_form_offers_only_what_the_policy_allows(self, browser: Browser) -> None:
        page = await browser.get(f"{TOKENS}/new")

        assert "Tokens of this authority expire within 45 days." in page.text
        assert "30 days on" in page.text
        assert "60 days on" not in page.text
        assert "Never" not in page.text


async def test_unknown_token_gets_a_page(browser: Browser) -> None:
    page = await browser.get(f"{TOKENS}/tok_0000000000000000")

    assert page.status == 404
    assert "Unknown token id." in page.text


async def test_pages_that_change_a_revoked_token_lead_to_it(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue(name="Report")
    await authority.revoke(issued["id"])

    pages = [await browser.get(f"{TOKENS}/{issued['id']}{page}") for page in PAGES[1:]]

    assert {page.location for page in pages} == {f"{TOKENS}/{issued['id']}?done=revoked"}
    assert "The token is revoked, permanently, so it cannot be changed." in (await browser.follow(pages[0])).text


async def test_edit_offers_no_later_expiry(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", expires_in="45d")

    page = await browser.get(f"{TOKENS}/{issued['id']}/edit")

    assert "30 days on" in page.text
    assert "60 days on" not in page.text
    assert "Never it works" not in page.text


async def test_form_names_the_limits_of_an_issuer(authority: Authority) -> None:
    browser = await browser_of(authority, "issuer", scopes=["polls:read:PLAT", "polls:vote:OPS"])

    page = await browser.get(f"{TOKENS}/new")

    assert "You may issue tokens within polls:read:PLAT, polls:vote:OPS." in page.text
