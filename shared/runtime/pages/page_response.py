"""The response with an HTML page: it may load nothing from elsewhere, and only listed sites can frame it."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

DOCUMENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The content security policy of a page without scripts and forms."""
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy of a page with scripts and forms of its own origin."""


def embeddable(policy: str, origins: Collection[str]) -> str:
    """Return the policy of a page that pages of these origins, and of its own, may show in a frame."""
    ancestors = " ".join(("'self'", *sorted(origins)))
    return policy.replace("frame-ancestors 'none'", f"frame-ancestors {ancestors}")


def page_headers(policy: str) -> dict[str, str]:
    """Return the headers that protect a page."""
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def page_response(
    text: str, media_type: str = "text/html", *, status: int = 200, policy: str = DOCUMENT_POLICY
) -> web.Response:
    """Return the response in UTF-8."""
    return web.Response(
        status=status, text=text, content_type=media_type, charset="utf-8", headers=page_headers(policy)
    )
