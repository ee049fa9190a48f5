"""`/v1/polls/{id}/results`: the results of a poll, as JSON or as a table for a spreadsheet."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import POLL_READS, VOTES
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.results import Results
from services.polls.domain.state import PollState
from services.polls.handlers.csv_format import CSV, wants_csv
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.handlers.participants import query_participant
from services.polls.operations.authorization import audience_of, load_authorized_poll
from services.polls.payloads import examples
from services.polls.payloads.parameters import PollPath, ShowResults
from services.polls.payloads.results import ResultsPayload
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.csv_table import csv_table
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query

COLUMNS: Final = ("option", "title", "votes", "percentage", "participant percentage", "rank")
CSV_EXAMPLE: Final = (
    '"option","title","votes","percentage","participant percentage","rank"\r\n'
    '"mon","Monday",2,66.7,66.7,1\r\n"tue","Tuesday",1,33.3,33.3,2\r\n'
)


@endpoint(
    summary="Show results",
    description="Values that the token may not see are null. A token with the action `results` sees "
    "everything, and needs no other action. With `format=csv` or `Accept: text/csv`, the response is a table for "
    "spreadsheets; with `bom=true` as well, Excel reads it as UTF-8.",
    tags=("results",),
    path=PollPath,
    query=ShowResults,
    responses={
        200: Response(
            description="The current results.",
            body=ResultsPayload,
            example=examples.RESULTS,
            alternatives={CSV: CSV_EXAMPLE},
        )
    },
    problems={**UNKNOWN, **forbidden(Action.READ, Action.RESULTS)},
)
async def show_results(request: web.Request) -> web.Response:
    """Return 200 with the results, or with a line for each option if `format` or else `Accept` prefers CSV."""
    query = read_query(request, ShowResults)
    is_csv = wants_csv(request, query.format, with_bom=query.bom)
    state, as_voter = await _load(request, query.participant)
    results = state.results(audience_of(caller(request), state.poll.place, as_voter=as_voter))
    headers = {"Vary": "Accept"}
    if is_csv:
        return csv_of_results(state.poll.id, results, with_bom=query.bom, headers=headers)
    return json_response(ResultsPayload.of(results), headers=headers)


async def _load(request: web.Request, participant: str | None) -> tuple[PollState, bool]:
    """Return the poll, and whether the participant has voted in it."""
    bearer = caller(request)
    if participant is None:
        actions = (Action.READ, Action.RESULTS)
        return await load_authorized_poll(
            request.app[POLL_READS], bearer, require_path_uuid(request, "id", UnknownPoll), *actions
        ), False
    actions = (Action.READ, Action.VOTE)
    voter = await request.app[VOTES].load_voter(
        bearer, require_path_uuid(request, "id", UnknownPoll), query_participant(participant), *actions
    )
    return voter.state, voter.has_voted


def csv_of_results(poll_id: UUID, results: Results, *, with_bom: bool, headers: Mapping[str, str] = {}) -> web.Response:
    """Return the response with results as CSV, a line for each option."""
    rows = [
        (option.id, option.title, option.votes, option.percentage, option.participant_percentage, option.rank)
        for option in results.options
    ]
    table = csv_table(COLUMNS, rows, with_bom=with_bom)
    named = {"Content-Disposition": f'attachment; filename="results-{poll_id}.csv"', **headers}
    return web.Response(body=table, content_type=CSV, charset="utf-8", headers=named)
