"""The receipt of a change while replicas have to confirm it."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenTab
from tests.support.guards import FakeGuard
from tests.support.stack import Authority


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    """Return a lease that does not end while a page is opened."""
    return {"revocation_lease": 20.0}


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
async def test_page_counts_the_replicas_and_then_shows_the_receipt(
    new_tab: OpenTab, authority: Authority, javascript: bool
) -> None:
    issued = await authority.issue(name="Report")
    guards = [FakeGuard(authority) for _ in range(3)]

    async with new_tab(javascript=javascript) as tab:
        await tab.sign_in(authority.admin_key)
        await tab.open(f"/settings/tokens/{issued['id']}/revoke")
        await asyncio.gather(*(guard.follow() for guard in guards))
        await tab.page.get_by_label("It has leaked").check()
        clicking = asyncio.ensure_future(tab.page.get_by_role("button", name="Revoke permanently").click())
        progress = tab.page.locator(".receipt").filter(visible=True)
        await expect(progress).to_have_text("0 of 3 replicas confirmed …")
        await guards[0].follow()
        await expect(progress).to_have_text("1 of 3 replicas confirmed …")
        await asyncio.gather(*(guard.follow() for guard in guards[1:]))

        await expect(progress).to_contain_text("In force everywhere after")
        await expect(progress).to_contain_text("3 replicas.")
        await clicking


async def test_page_of_the_token_says_how_far_its_revocation_is(new_tab: OpenTab, authority: Authority) -> None:
    issued = await authority.issue(name="Report")
    guard = FakeGuard(authority)
    await guard.follow()
    await authority.revoke(issued["id"], wait="false")

    async with new_tab() as tab:
        await tab.sign_in(authority.admin_key, f"/settings/tokens/{issued['id']}")
        await tab.shows("0 of 1 replicas confirmed")
        await guard.follow()

        await tab.shows("In force everywhere.")  # the page opens itself again until then


class TestWithAShortLease:
    """A replica has to renew its lease within two seconds."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"revocation_lease": 2.0}

    async def test_replica_that_does_not_answer_is_waited_for_until_its_lease_has_ended(
        self, new_tab: OpenTab, authority: Authority
    ) -> None:
        issued = await authority.issue(name="Report")

        async with new_tab() as tab:
            await tab.sign_in(authority.admin_key)
            await tab.open(f"/settings/tokens/{issued['id']}/revoke")
            await tab.page.get_by_label("It has leaked").check()
            await FakeGuard(authority).follow()
            await tab.click("Revoke permanently")

            await tab.shows("In force everywhere after", "the lease of 1 replica ended without an answer.")
