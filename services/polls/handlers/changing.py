"""Changes of polls as both faces make them: with the time that many ballots take, and announced to who follows."""

from collections.abc import Callable
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import DATABASE, POLL_FEED, TURNS
from services.polls.domain.poll import PollSpec
from services.polls.domain.state import PollState
from services.polls.operations.edit import Edited, Require, edit_poll, remove_poll
from services.polls.storage.polls import MANY_LIMIT_S
from shared.guard import caller
from shared.runtime.http.application import extend_deadline


async def edit(
    request: web.Request, poll_id: UUID, change: Callable[[PollState], PollSpec], require: Require, *, drop_votes: bool
) -> Edited:
    """Give the poll the draft that `change` makes of it. Raises what `edit_poll` raises."""
    extend_deadline(request, MANY_LIMIT_S)
    database, site = request.app[DATABASE], caller(request).site
    async with request.app[TURNS].of(poll_id):
        edited = await edit_poll(database, site, poll_id, change, require=require, drop_votes=drop_votes)
    request.app[POLL_FEED].announce(poll_id)
    return edited


async def remove(request: web.Request, poll_id: UUID, require: Require) -> None:
    """Remove the poll with its ballots. Raises what `remove_poll` raises."""
    extend_deadline(request, MANY_LIMIT_S)
    async with request.app[TURNS].of(poll_id):
        await remove_poll(request.app[DATABASE], caller(request).site, poll_id, require=require)
    request.app[POLL_FEED].announce(poll_id)
