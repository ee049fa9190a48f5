"""`/v1/polls/{id}/votes`: cast, show, withdraw and list ballots. The caller vouches for whom it names."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from services.polls.app_keys import DATABASE, POLL_FEED, VOTES
from services.polls.domain.ballot import MAX_PARTICIPANT_LENGTH, NamesNotKept
from services.polls.handlers.asking import poll_id_of, reached_poll, require
from services.polls.handlers.parameters import UNKNOWN, Paging, PollPath, forbidden
from services.polls.operations.vote import Voter
from services.polls.payloads import examples
from services.polls.payloads.ballots import BallotPage, BallotPayload, CastBallot
from services.polls.payloads.texts import Participant, PollId
from services.polls.storage import ballots
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import path_text
from shared.runtime.http.query import read_query


class BallotPath(Struct, frozen=True):
    """Whose ballot in which poll."""

    id: PollId
    participant: Participant


@endpoint(
    summary="Cast a ballot",
    description="One a participant. Where the poll allows it, another one takes its place.",
    tags=("votes",),
    path=BallotPath,
    body=CastBallot,
    body_example=examples.CHOICE,
    responses={
        201: Response(description="The participant's first ballot.", body=BallotPayload, example=examples.BALLOT),
        200: Response(
            description="The ballot that has taken another one's place.", body=BallotPayload, example=examples.BALLOT
        ),
    },
    problems={
        **UNKNOWN,
        **forbidden(Action.VOTE),
        409: "The poll is closed, or the participant has voted and may not again.",
    },
)
async def cast_ballot(request: web.Request) -> web.Response:
    """201 with the first ballot, 200 with one that has taken its place."""
    require_media_type(request, JSON)
    choice = read_json(await request.read(), CastBallot).to_choice()
    voter = await _voter(request)
    cast = await request.app[VOTES].cast(caller(request).site, voter, choice)
    request.app[POLL_FEED].announce(voter.state.poll.id)
    payload = BallotPayload.of(cast.ballot, voter.participant)
    return json_response(payload, status=201 if cast.is_first else 200)


@endpoint(
    summary="Show a ballot",
    tags=("votes",),
    path=BallotPath,
    responses={200: Response(description="The ballot.", body=BallotPayload, example=examples.BALLOT)},
    problems={
        **forbidden(Action.VOTE),
        404: "There is no such poll, the token does not reach it, or the participant has no ballot.",
    },
)
async def show_ballot(request: web.Request) -> web.Response:
    """200 with the participant's ballot."""
    voter = await _voter(request)
    return json_response(BallotPayload.of(voter.ballot, voter.participant))


@endpoint(
    summary="Withdraw a ballot",
    description="Where the poll allows no second ballot, its participant cannot vote again.",
    tags=("votes",),
    path=BallotPath,
    responses={204: Response(description="It counts no more.")},
    problems={
        **forbidden(Action.VOTE),
        404: "There is no such poll, the token does not reach it, or the participant has no ballot.",
        409: "The poll is closed.",
    },
)
async def withdraw_ballot(request: web.Request) -> web.Response:
    """204."""
    voter = await _voter(request)
    await request.app[VOTES].withdraw(caller(request).site, voter)
    request.app[POLL_FEED].announce(voter.state.poll.id)
    return web.Response(status=204)


@endpoint(
    summary="List ballots",
    description="Of a poll that keeps names, those whose participants are kept, in the order of their ids.",
    tags=("votes",),
    path=PollPath,
    query=Paging,
    responses={200: Response(description="A page of ballots.", body=BallotPage, example=examples.BALLOTS)},
    problems={**UNKNOWN, **forbidden(Action.RESULTS), 409: "The poll keeps no names."},
)
async def list_ballots(request: web.Request) -> web.Response:
    """200 with a page of ballots."""
    query = read_query(request, Paging)
    behind = "" if query.cursor is None else read_cursor(query.cursor, tuple[_Storable])[0]
    poll = (await reached_poll(request, Action.RESULTS)).poll
    if not poll.draft.settings.save_participant_names:
        raise NamesNotKept
    found = await ballots.list_ballots(request.app[DATABASE], poll.id, behind, query.limit + 1)
    page = found[: query.limit]
    items = [BallotPayload.of(ballot, ballot.participant or "") for ballot in page]
    return json_response(BallotPage(items, write_cursor((items[-1].participant,)) if len(found) > len(page) else None))


_Storable = Annotated[str, Meta(pattern=r"^[^\x00]*$")]


async def _voter(request: web.Request) -> Voter:
    participant = path_text(request, "participant", MAX_PARTICIPANT_LENGTH)
    voter = await request.app[VOTES].voter(caller(request).site, poll_id_of(request), participant)
    require(request, Action.VOTE, voter.state.poll.place)
    return voter
