"""The settings pages about the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from shared.contract.audit import AuditRecord, ChainCheck
from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.page_client import Browser, Page, sign_in, sign_in_as
from tests.support.postgres import fetch
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

AUDIT = "/settings/audit"
SEARCH = "/settings/audit/search"
MARKUP = "<b onclick='x'>&amp;\"</b>"


@pytest.fixture
async def browser(authority: Authority) -> Browser:
    """Return a browser with a session of the first admin key."""
    return await sign_in(authority, authority.admin_key)


async def list_records(authority: Authority, **query: Any) -> Any:
    path = f"/v1/audit?{urlencode({'newest_first': 'true', **query})}"
    return (await authority.manage("GET", path)).json["items"]


def seqs_of(page: Page) -> list[int]:
    """Return the numbers of the records in the list."""
    return [int(link.rpartition("/")[2]) for link in page.links if link.rpartition("/")[2].isdigit()]


async def test_list_shows_newest_records_first_with_links(authority: Authority, browser: Browser) -> None:
    token = await authority.issue()
    await authority.manage("POST", "/v1/services/polls/disable")

    page = await browser.get(AUDIT)

    records = await list_records(authority)
    own_id = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    assert seqs_of(page) == [record["seq"] for record in records]
    assert "admin key First admin key service.disable service polls 127.0.0.1" in page.text
    assert {f"/settings/tokens/{token['id']}", "/settings/services/polls"} <= set(page.links)
    assert f"/settings/administrators/{own_id}" in page.links


async def test_filters_lead_to_address_with_conditions(authority: Authority, browser: Browser) -> None:
    token, other = await authority.issue(), await authority.issue()
    await authority.revoke(other["id"])
    own_id = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    today = datetime.now(UTC).date().isoformat()

    found = await browser.submit(
        AUDIT, SEARCH, actor_id=own_id, action="token.issue", subject=f"token:{token['id']}", since=today, until=today
    )
    page = await browser.follow(found)

    assert found.location.startswith(f"{AUDIT}?actor_id={own_id}&action=token.issue&subject=token")
    assert len(seqs_of(page)) == 1
    assert page.form(SEARCH).fields["since"] == [today]
    assert seqs_of(await browser.get(AUDIT, action="token.revoke")) == [
        record["seq"] for record in await list_records(authority, action="token.revoke")
    ]


async def test_filter_by_day_includes_that_day(authority: Authority, browser: Browser) -> None:
    await authority.issue()
    now = datetime.now(UTC)
    yesterday, tomorrow = ((now + timedelta(days=days)).date().isoformat() for days in (-1, 1))

    before, since = await browser.get(AUDIT, until=yesterday), await browser.get(AUDIT, since=tomorrow)

    assert "No record matches." in before.text
    assert "No record matches." in since.text
    assert seqs_of(await browser.get(AUDIT, since=yesterday, until=tomorrow))


async def test_pages_follow_each_other_without_gaps(authority: Authority, browser: Browser) -> None:
    for _ in range(55):
        await authority.manage("POST", "/v1/services/polls/disable")
        await authority.manage("POST", "/v1/services/polls/enable")

    first = await browser.get(AUDIT)
    (older,) = [link for link in first.links if "after=" in link]
    second = await browser.get(older)

    newest = seqs_of(first)[0]
    assert seqs_of(first) + seqs_of(second) == list(range(newest, 0, -1))
    assert len(seqs_of(first)) == 100
    assert not [link for link in second.links if "after=" in link]


async def test_invalid_day_returns_422_at_field_with_what_was_typed(browser: Browser) -> None:
    page = await browser.get(AUDIT, since="2026-02-30", action="token.issue")

    assert page.status == 422
    assert 'id="since-error"' in page.html
    assert page.form(SEARCH).fields["action"] == ["token.issue"]


async def test_invalid_parameter_returns_400(browser: Browser, subtests: pytest.Subtests) -> None:
    for query in ({"after": "x"}, {"after": "-1"}, {"unknown": "x"}, {"action": "\0"}):
        with subtests.test(query=query):
            assert (await browser.get(AUDIT, **query)).status == 400


async def test_secret_in_filter_gets_into_no_address(browser: Browser, subtests: pytest.Subtests) -> None:
    secret = mint("pgt")
    for field in ("actor_id", "action", "subject"):
        with subtests.test(field=field):
            page = await browser.submit(AUDIT, SEARCH, **{field: f"token:{secret}"})

            assert (page.status, page.location) == (422, "")
            assert "This is a secret" in page.text
            assert secret not in page.html


async def test_record_shows_fields_before_and_after(authority: Authority, browser: Browser) -> None:
    await authority.manage("PATCH", "/v1/services/polls", {"name": "Old"})
    await authority.manage("PATCH", "/v1/services/polls", {"name": "New"})
    record, earlier = await list_records(authority, limit=2, action="service.change")

    page = await browser.get(f"{AUDIT}/{record['seq']}")

    assert "name Old New" in page.text
    assert {record["hash"], earlier["hash"], record["request_id"]} <= set(page.text.split())
    assert f"{AUDIT}/{earlier['seq']}" in page.links


async def test_record_of_new_token_shows_scopes_on_lines(authority: Authority, browser: Browser) -> None:
    await authority.issue("polls:read:PLAT", "polls:create:PLAT", name="Reporter")
    (record,) = await list_records(authority, limit=1, action="token.issue")

    page = await browser.get(f"{AUDIT}/{record['seq']}")

    assert "polls:read:PLAT\npolls:create:PLAT" in page.html
    assert "Reporter" in page.text


async def test_unknown_record_returns_404(browser: Browser, subtests: pytest.Subtests) -> None:
    for seq in ("0", "999999", "x", "-1", "1.5", "%EF%BC%99", "9" * 40, "%00"):
        with subtests.test(seq=seq):
            assert (await browser.get(f"{AUDIT}/{seq}")).status == 404


async def test_export_has_every_record_as_verifiable_json_lines(authority: Authority, browser: Browser) -> None:
    await authority.issue()
    page = await browser.get(AUDIT)
    check = ChainCheck()

    exported = await browser.get(f"{AUDIT}/export")
    filtered = await browser.get(f"{AUDIT}/export", action="token.issue")

    records = [msgspec.json.decode(line, type=AuditRecord) for line in exported.html.splitlines()]
    check.check(records)
    assert f"{AUDIT}/export" in page.links
    assert exported.headers["Content-Type"] == "application/jsonl"
    assert check.head[0] == seqs_of(page)[0]
    assert [msgspec.json.decode(line)["action"] for line in filtered.html.splitlines()] == ["token.issue"]


async def test_auditor_reads_log_and_others_get_403(authority: Authority) -> None:
    auditor, issuer = await sign_in_as(authority, "auditor"), await sign_in_as(authority, "issuer")
    paths = [AUDIT, f"{AUDIT}/1", f"{AUDIT}/export"]

    assert [(await auditor.get(path)).status for path in paths] == [200, 200, 200]
    assert [(await issuer.get(path)).status for path in paths] == [403, 403, 403]
    assert AUDIT not in (await issuer.get("/settings/tokens")).links
    assert [(await Browser(authority).get(path)).status for path in paths] == [303, 303, 303]


async def test_forged_search_returns_403(browser: Browser) -> None:
    assert set(await browser.forge(AUDIT, SEARCH, action="token.issue")) == {403}


async def test_markup_in_records_and_filters_is_shown_as_text(authority: Authority, browser: Browser) -> None:
    await authority.manage("POST", "/v1/admin-keys", {"name": MARKUP, "role": "admin"})
    await authority.manage("PATCH", "/v1/services/polls", {"name": MARKUP})
    record, _ = await list_records(authority, limit=2)

    pages = [await browser.get(path) for path in (AUDIT, f"{AUDIT}/{record['seq']}", f"{AUDIT}?action=%3Cb%3E")]

    assert [MARKUP in page.text for page in pages] == [True, True, False]
    assert pages[2].form(SEARCH).fields["action"] == ["<b>"]
    assert not [page.path for page in pages if MARKUP in page.html or "<b>" in page.html]


async def test_intact_chain_is_reported_with_the_hash_to_keep(authority: Authority) -> None:
    await authority.issue(name="Report")
    browser = await sign_in(authority, authority.admin_key)
    last = (await authority.manage("GET", "/v1/audit?newest_first=true&limit=1")).json["items"][0]

    page = await browser.submit(AUDIT, f"{AUDIT}/verify")

    assert f"The chain is intact: {last['seq']} records were checked." in page.text
    assert last["hash"] in page.text


async def test_changed_record_is_reported(authority: Authority, database: ClonedDatabase) -> None:
    issued = await authority.issue(name="Report")
    browser = await sign_in(authority, authority.admin_key)
    change = "UPDATE token_authority.audit_log SET address = '192.0.2.1' WHERE subject = $1"
    await fetch(database.admin_url, change, f"token:{issued['id']}")

    page = await browser.submit(AUDIT, f"{AUDIT}/verify")

    assert "The chain is broken:" in page.text
    assert "has been changed." in page.text


async def test_log_that_was_cut_off_is_noticed_by_the_hash_that_was_kept(
    authority: Authority, database: ClonedDatabase
) -> None:
    browser = await sign_in(authority, authority.admin_key)
    last = (await authority.manage("GET", "/v1/audit?newest_first=true&limit=1")).json["items"][0]
    await fetch(database.admin_url, "DELETE FROM token_authority.audit_log WHERE seq = $1", last["seq"])

    page = await browser.submit(AUDIT, f"{AUDIT}/verify", seq=str(last["seq"]), hash=last["hash"])
    half = await browser.submit(AUDIT, f"{AUDIT}/verify", seq=str(last["seq"]))
    mistyped = await browser.submit(AUDIT, f"{AUDIT}/verify", seq="1", hash="zz")

    assert "is missing, or has another hash than the one that you noted" in page.text
    for refused in (half, mistyped):
        assert (refused.status, "Enter the hash of the record: 64 digits" in refused.text) == (422, True)
