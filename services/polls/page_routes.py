"""Every page of the polls service, with its access rule."""

from typing import Final

from services.polls.pages import live_results, paths, poll, results_image
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route

_LINK: Final = f"{paths.POLL_ROOT}/{{link}}"

PAGE_ROUTES: Final = (
    Route("GET", _LINK, Endpoint(poll.show_poll), PUBLIC),
    Route("POST", _LINK, Endpoint(poll.vote), PUBLIC),
    Route("POST", f"{_LINK}/withdraw", Endpoint(poll.withdraw), PUBLIC),
    Route("GET", f"{_LINK}/events", Endpoint(live_results.follow_results), PUBLIC),
    Route("GET", f"{_LINK}/results.svg", Endpoint(results_image.show_image), PUBLIC),
)
"""`PUBLIC`: the pages of a voting link find out by themselves what the link or its cookie lets a browser do."""
