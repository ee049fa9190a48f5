"""Read the ids in the path of a request."""

from uuid import UUID

from aiohttp import web

from services.polls.domain.ballot import MAX_PARTICIPANT_LENGTH
from services.polls.domain.errors import UnknownPoll
from shared.runtime.http.path import path_text, path_uuid


def poll_id_of(request: web.Request) -> UUID:
    """Return the poll's id. Raise `UnknownPoll` if it is not a UUID."""
    poll_id = path_uuid(request, "id")
    if poll_id is None:
        raise UnknownPoll
    return poll_id


def participant_of(request: web.Request) -> str:
    """Return the participant's id. Raise `BadRequest` unless it has 1 to 255 characters."""
    return path_text(request, "participant", MAX_PARTICIPANT_LENGTH)
