"""One poll: what it is, how it is set, what was changed, and what the token may do with it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from aiohttp import web

from services.polls.app_keys import DATABASE, POLL_READS
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.poll import in_order
from services.polls.domain.state import PollState
from services.polls.operations.authorization import audience_of, load_authorized_poll, require_action
from services.polls.pages.changes_after_votes import CHANGES
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_place, describe_settings
from services.polls.pages.paths import poll_path
from services.polls.storage.audit import select_newest_audit
from shared.contract.audit import AuditRecord
from shared.contract.scope import Action
from shared.guard import Caller, caller
from shared.runtime.http.path import require_path_uuid
from shared.runtime.pages.notices import notice_of

RECORDS: Final = 20
NOTICES: Final[Mapping[str, str]] = {
    "created": "The poll is created.",
    "changed": "The poll is changed.",
    "unchanged": "Nothing was different, so nothing was changed.",
    "closed": "The poll is closed. It takes no votes, and its results are final.",
    "was_closed": "The poll was closed before, so nothing was changed.",
    "reopened": "The poll is open again.",
    "was_open": "The poll is open, so nothing was changed.",
}
"""The notices that a page may lead here with."""
_ACTIONS: Final[Mapping[str, str]] = {
    "poll.create": "Created",
    "poll.change": "Changed",
    "poll.close": "Closed",
    "poll.reopen": "Opened again",
    "link.create": "Shared link created",
    "link.revoke": "Shared links revoked",
}
_FIELDS: Final[Mapping[str, str]] = {
    "title": "title",
    "description": "description",
    "options": "options",
    "settings": "settings",
}


class Way(NamedTuple):
    """A page about the poll that the token may open."""

    title: str
    path: str
    is_dangerous: bool = False


class HistoryLine(NamedTuple):
    """A record of the audit trail: what was done, to which fields, and by which token."""

    record: AuditRecord
    what: str
    token_id: str
    is_own: bool


async def load_poll(request: web.Request, action: Action | None = None) -> PollState:
    """Return the poll in the path, which the token may read, and also do `action` with if it is given.

    Raise `UnknownPoll` or `InsufficientScope`.
    """
    bearer, poll_id = caller(request), require_path_uuid(request, "id", UnknownPoll)
    state = await load_authorized_poll(request.app[POLL_READS], bearer, poll_id, Action.READ)
    if action is not None:
        require_action(bearer, state.poll.place, action)
    return state


async def show_poll(request: web.Request) -> web.Response:
    """Return the page of the poll."""
    state, bearer = await load_poll(request), caller(request)
    poll = state.poll
    return manage_page(
        request,
        "manage_poll.html",
        poll=poll,
        status_word=state.status,
        place=describe_place(poll.place),
        results=state.results(audience_of(bearer, poll.place)),
        options=in_order(poll.spec.options),
        rules=describe_settings(poll.spec.settings, is_closed=state.is_closed),
        changes=[(CHANGES[each], at) for each, at in poll.changed_after_votes.items()],
        ways=ways_of(bearer, state),
        history=await _load_history(request, state),
        notice=notice_of(request, NOTICES),
    )


def ways_of(bearer: Caller, state: PollState) -> list[Way]:
    """Return the pages about a poll that the token may open."""
    place, found = state.poll.place, list[Way]()

    def offer(action: Action, title: str, page: str, *, is_dangerous: bool = False) -> None:
        if bearer.may(action, place):
            found.append(Way(title, poll_path(state.poll.id, page), is_dangerous))

    offer(Action.READ, "Results", "results")
    offer(Action.VOTE, "Voting links", "links")
    offer(Action.UPDATE, "Edit", "edit")
    offer(Action.UPDATE, *(("Reopen", "reopen") if state.is_closed else ("Close", "close")))
    offer(Action.DELETE, "Delete", "delete", is_dangerous=True)
    return found


async def _load_history(request: web.Request, state: PollState) -> Sequence[HistoryLine]:
    bearer, poll = caller(request), state.poll
    if not bearer.may(Action.UPDATE, poll.place):
        return []
    records = await select_newest_audit(request.app[DATABASE], bearer.site, poll.id, RECORDS)
    return [
        HistoryLine(record, _describe(record), record.actor_id or "", record.actor_id == bearer.token_id)
        for record in records
    ]


def _describe(record: AuditRecord) -> str:
    what = _ACTIONS.get(record.action, record.action)
    fields = [word for name, word in _FIELDS.items() if name in record.before or name in record.after]
    return f"{what}: {', '.join(fields)}" if record.action == "poll.change" and fields else what
