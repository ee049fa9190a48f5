"""Read the id of a participant from the path or the query."""

from typing import Final

from aiohttp import web

from services.polls.domain.participant import MAX_SENT_LENGTH, read_participant
from shared.runtime.http.path import path_text
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.text.characters import InvalidText

PARAMETER: Final = "participant"


def path_participant(request: web.Request) -> str:
    """Return the participant in the segment `{participant}` of the path. Raise `BadRequest`."""
    return query_participant(path_text(request, PARAMETER, MAX_SENT_LENGTH))


def query_participant(text: str) -> str:
    """Return the participant that a parameter names. Raise `BadRequest`."""
    try:
        return read_participant(text)
    except InvalidText as error:
        raise BadRequest("Invalid participant id.", ErrorDetail(f"this {error}", parameter=PARAMETER)) from None
