"""Vote as people do: by a link, in a browser without scripts, which keeps cookies by path."""

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any, cast

from multidict import MultiMapping

from tests.support.page_client import HTML, Browser, Page
from tests.support.stack import Caller, Polls


class Voter(Browser):
    """A browser that votes. Redirects are not followed, so that tests see them."""

    def __init__(self, service: Caller, **headers: str) -> None:
        super().__init__(service)
        self.jar: dict[tuple[str, str], str] = {}
        self.set_cookies: list[str] = []
        self._headers = headers

    def accept_json(self) -> None:
        """Ask for JSON from now on, as a program does."""
        self._headers["Accept"] = "application/json"

    async def open(self, link: Any) -> Page:
        """Open a new link, and return the page that it leads to."""
        opened = await self.get(path_of(link))
        return await self.follow(opened)

    async def vote(self, page: Page, *titles: str, **fields: str) -> Page:
        """Choose the options with these titles, send the form, and return the response."""
        return await self.send(
            page, page.path.partition("?")[0], option=[key_of(page, each) for each in titles], **fields
        )

    async def withdraw(self, link: Any) -> Page:
        """Ask to withdraw the vote, confirm it, and return the response."""
        return await self.submit(f"/p/{link['id']}/withdraw")

    async def _send(self, method: str, path: str, headers: Mapping[str, str] = {}, **options: Any) -> Page:
        sent = {"Accept": HTML, "Content-Type": "application/x-www-form-urlencoded", **self._headers, **headers}
        target = path.partition("?")[0]
        cookies = [
            f"{name}={text}" for (at, name), text in self.jar.items() if target == at or target.startswith(f"{at}/")
        ]
        if cookies:
            sent["Cookie"] = "; ".join(cookies)
        answer = await self._service(method, path, headers=sent, allow_redirects=False, **options)
        for header in cast(MultiMapping[str], answer.headers).getall("Set-Cookie", []):
            self.set_cookies.append(header)
            for name, morsel in SimpleCookie(header).items():
                self.jar[morsel["path"], name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.jar[morsel["path"], name]
        return Page(path, answer.status, answer.headers, answer.body)


def path_of(link: Any) -> str:
    """Return the path of a new link, with its secret."""
    return "/p/" + str(link["url"].rpartition("/p/")[2])


def key_of(page: Page, title: str) -> str:
    """Return the value of the option with this title in the form of a page."""
    before = page.html[: page.html.index(f">{title}</label>")]
    chosen = before[before.rindex('name="option" value="') :]
    return chosen.split('"')[3]


async def create_link(polls: Polls, poll_id: str, kind: str = "shared", **fields: Any) -> Any:
    """Create a link and return the body of the 201."""
    created = await polls.v1("POST", f"/polls/{poll_id}/links", {"kind": kind, **fields})
    assert created.status == 201, created.body
    return created.json
