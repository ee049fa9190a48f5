"""A real Chromium, in which pages are opened, and what no page may do in it."""

import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import psutil
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FloatRect,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.support.secrets_in_output import find_secrets

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
WIDE: Final = (1280, 900)
PHONE: Final = (360, 760)
WAIT_MS: Final = 10_000
_ARGUMENTS: Final = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
"""A page of another site may show this machine in a frame, which a browser would otherwise ask its user about."""

Scheme = Literal["light", "dark"]


def find_chromium() -> str | None:
    """Return the program that `CHROMIUM` names, or the one on the path."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def run_browser(**options: Any) -> AsyncGenerator[Browser, None]:
    """Run a browser during the block. Skip the test without one, which fails where `CI` is set.

    `options` are those of Playwright's `launch`.
    """
    program = find_chromium()
    if program is None:
        missing = "no Chromium found: install it, or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS, **options)
        _yield_to_servers()
        try:
            yield browser
        finally:
            await browser.close()


def _yield_to_servers() -> None:
    """Give the browser a low priority, so that it does not keep PostgreSQL and services of other tests waiting."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "chrom" in process.name():
                process.nice(10)


class Tab:
    """A page in a browser, and what went wrong in it: errors, requests to other origins, and secrets where they show.

    Only the address and the form of a page that shows a secret once may have it.
    """

    def __init__(self, context: BrowserContext, page: Page, origin: str, other_origins: Sequence[str]) -> None:
        self.page = page
        self._origin = origin
        self._allowed = (origin, *other_origins)
        self._faults: list[str] = []
        self._expected = ""
        self.expected_messages: list[str] = []
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self._faults.append(f"script error: {error}"))
        context.on("request", self._note_request)

    def expect_message(self, text: str) -> None:
        """Let the console have messages with this text, which are put into `expected_messages`."""
        self._expected = text

    async def open(self, path: str) -> None:
        """Open a path of the service."""
        await self.page.goto(self._origin + path)

    @property
    def path(self) -> str:
        """The path and the query of the page."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    async def sign_in(self, secret: str, path: str = "/", label: str = "Admin key") -> None:
        """Open a path, and sign in with an admin key, or with the secret that the field asks for."""
        await self.open(path)
        await self.page.get_by_label(label).fill(secret)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    async def shows(self, *texts: str) -> None:
        """Wait until the page shows each text."""
        for text in texts:
            await expect(self.page.locator("body")).to_contain_text(text)

    async def does_not_show(self, *texts: str) -> None:
        """Wait until the page shows none of the texts."""
        for text in texts:
            await expect(self.page.locator("body")).not_to_contain_text(text)

    async def click(self, name: str) -> None:
        """Click the link or button with this name."""
        page = self.page
        await (
            page.get_by_role("button", name=name, exact=True)
            .or_(page.get_by_role("link", name=name, exact=True))
            .first.click()
        )

    async def require_accessible(self) -> None:
        """Fail for a violation of WCAG 2.2 AA that axe-core finds, and for a page that is wider than the window."""
        results = await Axe().run(self.page, options=_AXE)
        assert not results.violations_count, results.generate_report()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await self.page.evaluate(overflow) <= 0, f"{self.path} is wider than the window"

    async def screenshot(self, name: str) -> None:
        """Store a picture of the page down to its foot, if `POLLGATE_SCREENSHOTS` names a folder."""
        folder, box = os.environ.get("POLLGATE_SCREENSHOTS"), await self.page.locator("footer").bounding_box()
        size = self.page.viewport_size
        if folder and box and size:
            clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": min(box["y"], size["height"])}
            await self.page.screenshot(path=Path(folder) / f"{name}.png", clip=clip)

    async def require_faultless(self) -> None:
        """Fail if anything went wrong since the tab was opened."""
        if not self.page.is_closed() and self.page.url.startswith(self._origin):
            stored = await self.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
            assert stored == "[{},{}]", "the page stores something in the browser"
        assert not self._faults, self._faults

    def _note_message(self, message: ConsoleMessage) -> None:
        # Chromium reports the status of every failed page as an error; the tests look at statuses themselves.
        if self._expected and self._expected in message.text:
            self.expected_messages.append(message.text)
        elif message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._faults.append(f"console: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith(self._allowed):
            self._faults.append(f"request to another origin: {request.url}")
        opens_voting_link = request.is_navigation_request() and urlsplit(request.url).path.startswith("/p/pgl_")
        if find_secrets(request.url) and not opens_voting_link:
            self._faults.append(f"secret in an address: {urlsplit(request.url).path}")
        if find_secrets(request.headers.get("referer", "")):
            self._faults.append(f"secret in the Referer header of a request for {urlsplit(request.url).path}")


@asynccontextmanager
async def open_tab(
    browser: Browser,
    origin: str,
    *,
    javascript: bool = True,
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
    other_origins: Sequence[str] = (),
    **options: Any,
) -> AsyncGenerator[Tab, None]:
    """Open a tab with its own cookies during the block. Fail at the end if anything went wrong in it.

    Pages may only send requests to `origin` and `other_origins`.
    """
    width, height = size
    context = await browser.new_context(
        java_script_enabled=javascript,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(WAIT_MS)
    try:
        tab = Tab(context, await context.new_page(), origin, other_origins)
        yield tab
        if javascript:
            await tab.require_faultless()
    finally:
        await context.close()


_AXE: Final = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
}
