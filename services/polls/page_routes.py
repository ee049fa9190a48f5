"""Every page of the polls service, with its access rule."""

from typing import Final

from services.polls.pages import manage_list, manage_sign_in, paths
from services.polls.pages.manage_access import session_with
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route

PAGE_ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", paths.MANAGE, Endpoint(manage_sign_in.show_start), PUBLIC),
    Route("GET", f"{paths.MANAGE}/", Endpoint(manage_sign_in.show_start), PUBLIC),
    Route("GET", paths.SIGN_IN, Endpoint(manage_sign_in.show_sign_in), PUBLIC),
    Route("POST", paths.SIGN_IN, Endpoint(manage_sign_in.sign_in), manage_sign_in.SIGNING_IN),
    Route("POST", paths.SIGN_OUT, Endpoint(manage_sign_in.sign_out), PUBLIC),
    Route("GET", paths.POLLS, Endpoint(manage_list.show_polls), session_with()),
    Route("POST", paths.SEARCH, Endpoint(manage_list.search_polls), session_with()),
)
"""None of these is in the OpenAPI document. Those that are `PUBLIC` change nothing without a session."""

from services.polls.pages import live_results, poll, results_image

_LINK: Final = f"{paths.POLL_ROOT}/{{link}}"
VOTING_ROUTES: Final = (
    Route("GET", _LINK, Endpoint(poll.show_poll), PUBLIC),
    Route("POST", _LINK, Endpoint(poll.vote), PUBLIC),
    Route("POST", f"{_LINK}/withdraw", Endpoint(poll.withdraw), PUBLIC),
    Route("GET", f"{_LINK}/events", Endpoint(live_results.follow_results), PUBLIC),
    Route("GET", f"{_LINK}/results.svg", Endpoint(results_image.show_image), PUBLIC),
)
"""`PUBLIC`: the pages of a voting link find out by themselves what the link or its cookie lets a browser do."""
