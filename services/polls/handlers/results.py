"""`/v1/polls/{id}/results`: what the votes come to, as JSON or as a table for a spreadsheet."""

from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from services.polls.app_keys import VOTES
from services.polls.domain.ballot import MAX_PARTICIPANT_LENGTH
from services.polls.domain.results import Results
from services.polls.domain.state import PollState
from services.polls.handlers.asking import poll_id_of, reached_poll, require, sight_of
from services.polls.handlers.parameters import UNKNOWN, PollPath, forbidden
from services.polls.payloads import examples
from services.polls.payloads.results import ResultsPayload
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.accept import prefers
from shared.runtime.http.body import JSON
from shared.runtime.http.csv_table import csv_table
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import read_query

CSV: Final = "text/csv"
COLUMNS: Final = ("option", "title", "votes", "percentage", "participant percentage", "rank")
CSV_EXAMPLE: Final = (
    '"option","title","votes","percentage","participant percentage","rank"\r\n'
    '"mon","Monday",2,66.7,66.7,1\r\n"tue","Tuesday",1,33.3,33.3,2\r\n'
)


class AskResults(Struct, frozen=True):
    """For whom the results are asked for."""

    participant: Annotated[
        str | None,
        Meta(
            description="one who has voted sees those of `afterVote`; takes a token that may vote, too",
            examples=["ada"],
        ),
    ] = None


@endpoint(
    summary="Show results",
    description="What may not be seen is null. A token with the action `results` sees everything, and needs no other. "
    "With `Accept: text/csv`, a table for spreadsheets.",
    tags=("results",),
    path=PollPath,
    query=AskResults,
    responses={
        200: Response(
            description="The results as they are now.",
            body=ResultsPayload,
            example=examples.RESULTS,
            alternatives={CSV: CSV_EXAMPLE},
        )
    },
    problems={**UNKNOWN, **forbidden(Action.READ, Action.RESULTS)},
)
async def show_results(request: web.Request) -> web.Response:
    """200 with the results, or with a line for each option by `Accept: text/csv`."""
    query = read_query(request, AskResults)
    state, as_voter = await _asked(request, query.participant)
    results = state.results(sight_of(caller(request), state.poll.place, as_voter=as_voter))
    headers = {"Vary": "Accept"}
    if prefers(request, CSV, JSON):
        headers["Content-Disposition"] = f'attachment; filename="results-{state.poll.id}.csv"'
        return web.Response(body=_table(results), content_type=CSV, charset="utf-8", headers=headers)
    return json_response(ResultsPayload.of(results), headers=headers)


async def _asked(request: web.Request, participant: str | None) -> tuple[PollState, bool]:
    """The poll, and whether the participant has voted in it."""
    if participant is None:
        return await reached_poll(request, Action.READ, Action.RESULTS), False
    if not 1 <= len(participant) <= MAX_PARTICIPANT_LENGTH:
        error_detail = ErrorDetail(f"1 to {MAX_PARTICIPANT_LENGTH} characters are wanted here", parameter="participant")
        raise BadRequest("Nobody can be called that.", error_detail)
    voter = await request.app[VOTES].voter(caller(request).site, poll_id_of(request), participant)
    place = voter.state.poll.place
    require(request, Action.READ, place)
    require(request, Action.VOTE, place)
    return voter.state, voter.has_voted


def _table(results: Results) -> bytes:
    rows = [
        (option.id, option.title, option.votes, option.percentage, option.participant_percentage, option.rank)
        for option in results.options
    ]
    return csv_table(COLUMNS, rows)
