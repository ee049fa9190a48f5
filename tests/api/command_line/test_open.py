"""`pollgate open`: a link to the settings pages, and the browser that opens it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

ISSUER: Final = "http://127.0.0.1:8081"
"""The default of TOKEN_AUTHORITY_ISSUER. The service of the test has another port."""
DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION")


async def open_at_terminal(authority: Authority, *options: str, **environment: str) -> str:
    """Run `pollgate open` at a terminal. Return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    credentials = {"TOKEN_AUTHORITY_URL": authority.base, "POLLGATE_ADMIN_KEY": authority.admin_key}
    settings = {**inherited, **credentials, **environment}
    return await asyncio.to_thread(_run_at_terminal, options, settings)


def _run_at_terminal(options: tuple[str, ...], environment: Mapping[str, str]) -> str:
    reader, terminal = os.openpty()
    command = [sys.executable, "-m", "pollgate", "open", *options]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.STDOUT, env=environment
    )
    os.close(terminal)
    printed = b""
    with suppress(OSError):  # by which Linux reports the end of a terminal
        while read := os.read(reader, 4096):
            printed += read
    os.close(reader)
    assert process.wait(30) == 0, printed
    return printed.decode().replace("\r\n", "\n")


def create_browser(folder: Path) -> Path:
    """Create a program that writes its argument to the file `opened`."""
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {folder}/opened\n')
    browser.chmod(0o700)
    return browser


async def test_open_prints_link_that_signs_in(pollgate: CommandLine, authority: Authority) -> None:
    printed = await pollgate("open")

    link, _, sentence = printed.out.partition("\n\n")
    assert (printed.status, sentence) == (0, "This link signs in once, within 10 minutes.\n")
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        browser.get(link.replace(ISSUER, authority.base)) as page,
    ):
        assert (page.status, page.url.path) == (200, "/settings/tokens")


async def test_open_with_json_prints_url_and_time(pollgate: CommandLine) -> None:
    printed = (await pollgate("open", "--json")).json

    assert printed["url"].startswith(f"{ISSUER}/settings/sign-in/link?code=")
    assert set(printed) == {"url", "expires_at"}


async def test_open_at_terminal_opens_printed_link_in_browser(authority: Authority, tmp_path: Path) -> None:
    printed = await open_at_terminal(authority, BROWSER=str(create_browser(tmp_path)))

    assert (tmp_path / "opened").read_text() == printed.partition("\n")[0]
    assert printed.startswith(f"{ISSUER}/settings/sign-in/link?code=")


async def test_open_with_no_browser_only_prints(authority: Authority, tmp_path: Path) -> None:
    printed = await open_at_terminal(authority, "--no-browser", BROWSER=str(create_browser(tmp_path)))

    assert printed.startswith(f"{ISSUER}/settings/sign-in/link?code=")
    assert not (tmp_path / "opened").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS needs no variable for its display")
async def test_open_without_display_starts_no_browser_in_terminal(authority: Authority, tmp_path: Path) -> None:
    create_browser(tmp_path).rename(tmp_path / "w3m")

    printed = await open_at_terminal(authority, PATH=f"{tmp_path}:{os.environ['PATH']}", TERM="xterm")

    assert printed.startswith(f"{ISSUER}/settings/sign-in/link?code=")
    assert not (tmp_path / "opened").exists()


async def test_open_with_browser_that_cannot_start_only_prints(authority: Authority, tmp_path: Path) -> None:
    printed = await open_at_terminal(authority, BROWSER=str(tmp_path / "missing"))

    assert printed.partition("\n\n")[2] == "This link signs in once, within 10 minutes.\n"


async def test_open_with_piped_output_only_prints(
    pollgate: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BROWSER", str(create_browser(tmp_path)))

    printed = await pollgate("open")

    assert printed.status == 0
    assert not (tmp_path / "opened").exists()


async def test_open_with_unknown_admin_key_exits_1(pollgate: CommandLine, authority: Authority) -> None:
    pollgate.use_authority(authority.base, authority.admin_key[:-1] + "x")

    refused = await pollgate("open")

    assert (refused.status, refused.out) == (1, "")
    assert "answered 401" in refused.err
