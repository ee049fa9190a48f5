"""The review page: findings, their answers, and what is done out of the way."""

from datetime import timedelta
from typing import Final

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.page_client import Browser, sign_in
from tests.support.stack import Authority
from tests.support.token_fixtures import backdate

pytestmark = pytest.mark.shared_services

REVIEW: Final = "/settings/review"


@pytest.fixture
async def browser(authority: Authority) -> Browser:
    """Return a browser with a session of the first admin key."""
    return await sign_in(authority, authority.admin_key)


async def test_findings_have_a_reason_and_answers(
    browser: Browser, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:read:PLAT", name="Old report", expires_in="365d")
    await backdate(database, issued["id"], created=timedelta(days=200), used=timedelta(days=100))
    await authority.issue("polls:*:*", name="Everything", expires_in="365d")

    page = await browser.get(REVIEW)

    assert "It was last used on" in page.text
    assert "covers every workspace" in page.text
    assert f"tokens/{issued['id']}/disable" in page.links
    assert "No review has been finished yet." in page.text


async def test_kept_finding_is_out_of_the_way(browser: Browser, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", name="Permanent", expires_in="never")

    kept = await browser.submit(REVIEW, f"{REVIEW}/keep", keep=f"never_expires {issued['id']}")
    page = await browser.follow(kept)

    assert "the review leaves it out for 90 days" in page.text
    assert "Nothing needs attention." in page.text
    shown = await browser.get(REVIEW, kept="true")
    assert "Permanent" in shown.text
    assert "Kept until" in shown.text


async def test_finished_review_says_when_and_by_which_key(browser: Browser) -> None:
    page = await browser.follow(await browser.submit(REVIEW, f"{REVIEW}/complete"))

    assert "The review is recorded as complete." in page.text
    assert "The last review was finished" in page.text


async def test_one_kind_is_shown_alone(browser: Browser, authority: Authority) -> None:
    await authority.issue("polls:*:*", name="Everything", expires_in="never")

    page = await browser.get(REVIEW, kind="reaches_any")

    assert "covers every workspace" in page.text
    assert "It never expires" not in page.text


async def test_auditor_sees_findings_without_answers(authority: Authority) -> None:
    issued = await authority.issue("polls:*:*", name="Everything")
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "second", "role": "auditor"})).json["key"]
    browser = await sign_in(authority, key)

    page = await browser.get(REVIEW)
    fields = [("form_token", page.forms[0].fields["form_token"][0]), ("keep", f"reaches_any {issued['id']}")]

    assert "Everything" in page.text
    assert not [link for link in page.links if link.endswith("/revoke")]
    assert (await browser.post(f"{REVIEW}/keep", fields)).status == 403
    assert (await browser.post(f"{REVIEW}/complete", fields)).status == 403


async def test_finding_that_does_not_exist_is_refused(browser: Browser, authority: Authority) -> None:
    page = await browser.get("/settings/tokens")
    token = [("form_token", page.forms[0].fields["form_token"][0])]

    assert (await browser.post(f"{REVIEW}/keep", [*token, ("keep", "never tok_x")])).status == 400
    assert (await browser.post(f"{REVIEW}/keep", [*token, ("keep", "unused tok_x")])).status == 404
