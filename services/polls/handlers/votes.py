"""`/v1/polls/{id}/votes`: cast, show, withdraw and list ballots. The caller vouches for the participants."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from services.polls.app_keys import DATABASE, POLL_READS, VOTES
from services.polls.domain.errors import NamesNotKept, UnknownPoll
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.handlers.participants import path_participant
from services.polls.operations.authorization import load_authorized_poll
from services.polls.payloads import examples
from services.polls.payloads.ballots import BallotPage, BallotPayload, CastBallot
from services.polls.payloads.parameters import BallotPath, Paging, PollPath
from services.polls.storage import ballots
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query


@endpoint(
    summary="Cast a ballot",
    description="One ballot per participant. If the poll allows it, a new one replaces the earlier one.",
    tags=("votes",),
    path=BallotPath,
    body=CastBallot,
    body_example=examples.CHOICE,
    responses={
        201: Response(description="The participant's first ballot.", body=BallotPayload, example=examples.BALLOT),
        200: Response(
            description="The ballot, which has replaced another one.", body=BallotPayload, example=examples.BALLOT
        ),
    },
    problems={
        **UNKNOWN,
        **forbidden(Action.VOTE),
        409: "The poll is closed, or the participant has voted and may not vote again.",
    },
)
async def cast_ballot(request: web.Request) -> web.Response:
    """Return 201 with the first ballot of the participant, 200 with one that has replaced another."""
    require_media_type(request, JSON)
    choice = read_json(await request.read(), CastBallot).to_choice()
    participant = path_participant(request)
    cast = await request.app[VOTES].cast(
        caller(request), require_path_uuid(request, "id", UnknownPoll), participant, choice
    )
    return json_response(BallotPayload.of(cast.ballot, participant), status=201 if cast.is_first else 200)


@endpoint(
    summary="Show a ballot",
    description="What the participant has chosen, if the ballot was stored with names. Otherwise, the response only "
    "says that there is a ballot.",
    tags=("votes",),
    path=BallotPath,
    responses={200: Response(description="The ballot.", body=BallotPayload, example=examples.BALLOT)},
    problems={
        **forbidden(Action.VOTE),
        404: "No poll has this id, the token has no access to it, or the participant has no ballot.",
    },
)
async def show_ballot(request: web.Request) -> web.Response:
    """Return 200 with the participant's ballot."""
    participant = path_participant(request)
    voter = await request.app[VOTES].load_voter(
        caller(request), require_path_uuid(request, "id", UnknownPoll), participant, Action.VOTE
    )
    return json_response(BallotPayload.of(voter.require_ballot().to_shown(), participant))


@endpoint(
    summary="Withdraw a ballot",
    description="If the poll allows one ballot per participant, the participant cannot vote again.",
    tags=("votes",),
    path=BallotPath,
    responses={204: Response(description="The ballot no longer counts.")},
    problems={
        **forbidden(Action.VOTE),
        404: "No poll has this id, the token has no access to it, or the participant has no ballot.",
        409: "The poll is closed.",
    },
)
async def withdraw_ballot(request: web.Request) -> web.Response:
    """Return 204."""
    participant = path_participant(request)
    await request.app[VOTES].withdraw(caller(request), require_path_uuid(request, "id", UnknownPoll), participant)
    return web.Response(status=204)


@endpoint(
    summary="List ballots",
    description="The ballots of a poll that keeps names, by participant. Ballots without a participant are left out.",
    tags=("votes",),
    path=PollPath,
    query=Paging,
    responses={200: Response(description="A page of ballots.", body=BallotPage, example=examples.BALLOTS)},
    problems={**UNKNOWN, **forbidden(Action.RESULTS), 409: "The poll does not keep names."},
)
async def list_ballots(request: web.Request) -> web.Response:
    """Return 200 with a page of ballots."""
    query = read_query(request, Paging)
    after = "" if query.cursor is None else read_cursor(query.cursor, tuple[_Storable])[0]
    poll_id, database = require_path_uuid(request, "id", UnknownPoll), request.app[DATABASE]
    poll = (await load_authorized_poll(request.app[POLL_READS], caller(request), poll_id, Action.RESULTS)).poll
    if not poll.spec.settings.save_participant_names:
        raise NamesNotKept
    found = await ballots.list_ballots(database, poll.id, after, query.limit + 1)
    page = found[: query.limit]
    items = [BallotPayload.of(ballot, ballot.participant or "") for ballot in page]
    return json_response(BallotPage(items, write_cursor((items[-1].participant,)) if len(found) > len(page) else None))


_Storable = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
