"""Every page of the polls service, with its access rule."""

from functools import partial
from typing import Final

from services.polls.pages import (
    live_results,
    manage_create,
    manage_detail,
    manage_edit,
    manage_end,
    manage_link_create,
    manage_link_revoke,
    manage_links,
    manage_list,
    manage_live,
    manage_results,
    manage_sign_in,
    paths,
    poll,
    poll_preview,
    poll_vote,
    results_image,
)
from services.polls.pages.manage_access import session_with, stream_of_session_with
from services.polls.storage.polls import ALL_BALLOTS_LIMIT_S
from shared.contract.scope import Action
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import HANDLING_LIMIT_S, PUBLIC, Route

MAX_FORM_BYTES: Final = 512 * 1024
"""The limit of the form of a poll, whose texts are up to 64 KiB, and three times as long when they are encoded."""
MAX_PARTICIPANTS_BYTES: Final = 1024 * 1024
"""The limit of the form of a thousand personal links: what the API takes as JSON is longer when it is encoded."""
EDIT_LIMIT_S: Final = HANDLING_LIMIT_S + ALL_BALLOTS_LIMIT_S
"""The time limit of requests that may change all ballots of a poll."""

_POLL: Final = f"{paths.POLLS}/{{id}}"
_RESULTS: Final = (Action.READ, Action.RESULTS)
_PollForm: Final = partial(Route, body_limit=MAX_FORM_BYTES, time_limit_s=EDIT_LIMIT_S)

MANAGE_ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", paths.MANAGE, Endpoint(manage_sign_in.show_start), PUBLIC),
    Route("GET", f"{paths.MANAGE}/", Endpoint(manage_sign_in.show_start), PUBLIC),
    Route("GET", paths.SIGN_IN, Endpoint(manage_sign_in.show_sign_in), PUBLIC),
    Route("POST", paths.SIGN_IN, Endpoint(manage_sign_in.sign_in), manage_sign_in.SIGNING_IN),
    Route("POST", paths.SIGN_OUT, Endpoint(manage_sign_in.sign_out), PUBLIC),
    Route("GET", paths.POLLS, Endpoint(manage_list.show_polls), session_with()),
    Route("POST", paths.SEARCH, Endpoint(manage_list.search_polls), session_with()),
    Route("POST", paths.FIND_LINKS, Endpoint(manage_list.find_links), session_with(Action.VOTE)),
    Route("GET", paths.NEW_POLL, Endpoint(manage_create.show_form), session_with(Action.CREATE)),
    _PollForm("POST", paths.NEW_POLL, Endpoint(manage_create.create_poll), session_with(Action.CREATE)),
    _PollForm("POST", paths.PREVIEW, Endpoint(poll_preview.show_preview), session_with()),
    Route("GET", _POLL, Endpoint(manage_detail.show_poll), session_with(Action.READ)),
    Route("GET", f"{_POLL}/edit", Endpoint(manage_edit.show_form), session_with(Action.UPDATE)),
    _PollForm("POST", f"{_POLL}/edit", Endpoint(manage_edit.edit_poll), session_with(Action.UPDATE)),
    Route("GET", f"{_POLL}/close", Endpoint(manage_end.show_close), session_with(Action.UPDATE)),
    _PollForm("POST", f"{_POLL}/close", Endpoint(manage_end.close_poll), session_with(Action.UPDATE)),
    Route("GET", f"{_POLL}/reopen", Endpoint(manage_end.show_reopen), session_with(Action.UPDATE)),
    _PollForm("POST", f"{_POLL}/reopen", Endpoint(manage_end.reopen_poll), session_with(Action.UPDATE)),
    Route("GET", f"{_POLL}/delete", Endpoint(manage_end.show_delete), session_with(Action.DELETE)),
    _PollForm("POST", f"{_POLL}/delete", Endpoint(manage_end.delete_poll), session_with(Action.DELETE)),
    Route("GET", f"{_POLL}/links", Endpoint(manage_links.show_links), session_with(Action.VOTE)),
    Route("POST", f"{_POLL}/links", Endpoint(manage_links.search_links), session_with(Action.VOTE)),
    Route("GET", f"{_POLL}/links/shared", Endpoint(manage_link_create.show_shared_form), session_with(Action.VOTE)),
    Route("POST", f"{_POLL}/links/shared", Endpoint(manage_link_create.create_shared), session_with(Action.VOTE)),
    Route("GET", f"{_POLL}/links/personal", Endpoint(manage_link_create.show_personal_form), session_with(Action.VOTE)),
    Route(
        "POST",
        f"{_POLL}/links/personal",
        Endpoint(manage_link_create.create_personal),
        session_with(Action.VOTE),
        body_limit=MAX_PARTICIPANTS_BYTES,
    ),
    Route("GET", f"{_POLL}/links/revoke", Endpoint(manage_link_revoke.show_revoke), session_with(Action.VOTE)),
    Route("POST", f"{_POLL}/links/revoke", Endpoint(manage_link_revoke.revoke_links), session_with(Action.VOTE)),
    Route("GET", f"{_POLL}/results", Endpoint(manage_results.show_results), session_with(*_RESULTS)),
    Route("GET", f"{_POLL}/results/csv", Endpoint(manage_results.download_results), session_with(*_RESULTS)),
    Route("GET", f"{_POLL}/results/events", Endpoint(manage_live.follow_results), stream_of_session_with(*_RESULTS)),
    Route("GET", f"{_POLL}/comments", Endpoint(manage_results.show_comments), session_with(Action.RESULTS)),
    Route("GET", f"{_POLL}/ballots", Endpoint(manage_results.show_ballots), session_with(Action.RESULTS)),
)
"""None of these is in the OpenAPI document. Those that are `PUBLIC` change nothing without a session."""

_LINK: Final = f"{paths.POLL_ROOT}/{{link}}"
VOTING_ROUTES: Final = (
    Route("GET", paths.POLL_ROOT, Endpoint(poll.show_start), PUBLIC),
    Route("GET", f"{paths.POLL_ROOT}/", Endpoint(poll.show_start), PUBLIC),
    Route("GET", _LINK, Endpoint(poll.show_poll), PUBLIC),
    Route("POST", _LINK, Endpoint(poll_vote.vote), PUBLIC),
    Route("GET", f"{_LINK}/withdraw", Endpoint(poll_vote.ask_to_withdraw), PUBLIC),
    Route("POST", f"{_LINK}/withdraw", Endpoint(poll_vote.withdraw), PUBLIC),
    Route("GET", f"{_LINK}/events", Endpoint(live_results.follow_results), PUBLIC),
    Route("GET", f"{_LINK}/results.svg", Endpoint(results_image.show_image), PUBLIC),
)
"""`PUBLIC`: the pages of a voting link find out by themselves what the link or its cookie lets a browser do."""
