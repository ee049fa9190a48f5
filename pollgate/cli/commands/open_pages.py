"""`pollgate open`: sign in on the settings pages of a token authority."""

import os
import sys
import webbrowser
from contextlib import suppress
from typing import Final

from pollgate.cli.authority_session import run_with_authority
from pollgate.cli.options import Json
from pollgate.cli.output import escape, print_json

_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_pages(*, browser: bool = True, as_json: Json = False) -> None:
    """Print a link that signs in on the settings pages once, within 10 minutes.

    It has the rights of the admin key, which is read as by `pollgate admin`, and
    works on the machine of the token authority. At a terminal with a display, it
    is opened in the default browser too.

    Parameters
    ----------
    browser
        Open the link in the default browser (the default), or only print it.
    """
    link = run_with_authority(lambda authority: authority.create_sign_in_link())
    if as_json:
        print_json(link)
        return
    print(f"{escape(link.url)}\n\nThis link signs in once, within 10 minutes.", flush=True)
    if browser and _has_browser():
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(link.url)


def _has_browser() -> bool:
    """Return whether someone at this terminal sees a window that this process opens.

    Without a display, as in a container, Python would start a browser for the terminal, which uses up the link.
    """
    is_remote_mac = sys.platform == "darwin" and "SSH_CONNECTION" in os.environ
    has_display = sys.platform == "darwin" or any(os.environ.get(name) for name in _DISPLAYS)
    return sys.stdout.isatty() and has_display and not is_remote_mac
