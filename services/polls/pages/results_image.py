"""`/p/{link}/results.svg`: an image of the results for a page elsewhere, where everyone may see them."""

import re
from typing import Final

from aiohttp import hdrs, web

from services.polls.app_keys import DATABASE, TEMPLATES
from services.polls.domain.results import Audience
from services.polls.pages.results_view import shown_options
from services.polls.pages.voter_cookies import read_link_id
from services.polls.storage.links import select_shared_poll
from shared.runtime.text.characters import shorten_line

IMAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""The content security policy of an image, which a browser may also open as a page: it runs nothing."""
CACHE_S: Final = 10
MAX_ROWS: Final = 20
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SVG: Final = "image/svg+xml"


async def show_image(request: web.Request) -> web.Response:
    """Return 200 with the results, or 404 with an image that says that there are none to see.

    It depends on the path alone, so that a cache gives everyone the same.
    """
    link_id = read_link_id(request.match_info["link"])
    state = None if link_id is None else await select_shared_poll(request.app[DATABASE], link_id)
    results = None if state is None else state.results(Audience.PUBLIC)
    templates = request.app[TEMPLATES]
    if state is None or results is None or not results.is_visible:
        return _image(templates.render("no_results.svg", {}), status=404)
    values = {
        "title": state.poll.spec.title,
        "results": results,
        "options": shown_options(results),
        "max_rows": MAX_ROWS,
        "image_text": image_text,
        "at": state.at,
    }
    return _image(templates.render("results.svg", values))


def image_text(text: str, limit: int) -> str:
    """Return a text for an image: characters that XML does not have are left out (XML 1.0 §2.2), long text is cut."""
    shown = shorten_line(_NO_XML.sub("", text), limit)
    return f"{shown[: limit - 1].rstrip()}…" if len(text) > limit else shown


def _image(text: str, status: int = 200) -> web.Response:
    headers = {
        hdrs.CACHE_CONTROL: f"public, max-age={CACHE_S}",
        "Content-Security-Policy": IMAGE_POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.Response(status=status, text=text, content_type=_SVG, charset="utf-8", headers=headers)
