"""The cookies of the page where people vote: one page, one link, one participant."""

from typing import Final, NamedTuple
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import SETTINGS, VOTER_PASSES
from services.polls.domain.errors import LinkEnded
from services.polls.domain.voter_pass import VoterPass
from services.polls.operations.voter_passes import Purpose
from services.polls.pages.paths import voting_path
from shared.runtime.pages.cookies import SameSite, SecretCookie, is_https

ENTRY_LIFE_S: Final = 300
"""How long a browser may take from opening a link to loading the page."""
VOTER_LIFE_S: Final = 400 * 24 * 3600
"""The longest time for which browsers keep a cookie (RFC 6265bis §4.1.2.2)."""
_NAMES: Final[dict[Purpose, str]] = {"entry": "pollgate_entry", "vote": "pollgate_voter"}


class HeldPass(NamedTuple):
    """A pass that a browser has, with the text of its cookie, which is a secret."""

    voter_pass: VoterPass
    cookie: str


def read_link_id(text: str) -> UUID | None:
    """Return the id of a link in a path, `None` if the text is something else."""
    try:
        link_id = UUID(text)
    except ValueError:
        return None
    return link_id if str(link_id) == text else None


def require_pass(request: web.Request) -> HeldPass:
    """Return the pass to vote that the browser has for the link in the path. Raise `LinkEnded` if it has none."""
    link_id = read_link_id(request.match_info["link"])
    held = None if link_id is None else read_pass(request, link_id, "vote")
    if held is None:
        raise LinkEnded
    return held


def read_pass(request: web.Request, link_id: UUID, purpose: Purpose) -> HeldPass | None:
    """Return the pass for a link that the browser has."""
    text = _cookie(request, link_id, purpose).read(request)
    voter_pass = request.app[VOTER_PASSES].decrypt(text, purpose)
    if text is None or voter_pass is None or voter_pass.link_id != link_id:
        return None
    return HeldPass(voter_pass, text)


def send_pass(
    request: web.Request, response: web.StreamResponse, held: HeldPass, purpose: Purpose, life_s: int | None
) -> None:
    """Give the browser a pass for the page of its link. Without `life_s`, it lasts until the browser is closed."""
    _cookie(request, held.voter_pass.link_id, purpose).set(response, held.cookie, life_s)


def forget_pass(request: web.Request, response: web.StreamResponse, link_id: UUID, purpose: Purpose) -> None:
    """Let the browser remove a pass."""
    _cookie(request, link_id, purpose).delete(response)


def new_pass(request: web.Request, voter_pass: VoterPass, purpose: Purpose) -> HeldPass:
    """Return a pass to send."""
    return HeldPass(voter_pass, request.app[VOTER_PASSES].encrypt(voter_pass, purpose))


def _cookie(request: web.Request, link_id: UUID, purpose: Purpose) -> SecretCookie:
    """Return the cookie for the page of a link: it is also sent in a frame on another site if the page is in one."""
    is_secure = is_https(request.app[SETTINGS].resource_url)
    is_framed = request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame")
    same_site: SameSite = "None" if is_secure and is_framed else "Lax"
    return SecretCookie(_NAMES[purpose], is_secure, same_site, voting_path(link_id))
