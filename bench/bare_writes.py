"""`python -m bench.bare_writes`: a server that executes the statements of the polls service and does nothing else.

It creates polls and casts ballots by the service's own storage functions, on asyncpg's pool, without authorization,
validation, limits and log lines. It is a baseline for the service.
"""

import asyncio
import os
import secrets
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from bench.bare import HOST, READY_ANSWER, handler_of
from bench.site import OPTIONS
from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.ballot import Ballot, Voter
from services.polls.domain.poll import Option, Poll, PollSpec
from services.polls.domain.results import Tally
from services.polls.domain.state import PollState
from services.polls.payloads.audit import whole_poll
from services.polls.storage.ballots import BallotKey, cast_ballot, select_ballots
from services.polls.storage.polls import insert_poll, select_time
from shared.contract.scope import Place

_SITE: Final = "bench"
_SPEC: Final = PollSpec(
    "Which of these?", tuple(Option(each["id"], each["title"], index) for index, each in enumerate(OPTIONS))
)
_PLACE: Final = Place("BARE", "BARE-1")
_CREATED: Final = msgspec.json.encode({"title": _SPEC.title})


def build_app(pool: "asyncpg.Pool[asyncpg.Record]", site: str) -> web.Application:
    """Return the application."""

    async def create(request: web.Request) -> web.Response:
        await request.read()
        async with pool.acquire() as connection:
            now = await select_time(connection)
            poll = Poll(uuid4(), _PLACE, _SPEC, version=1, created_at=now, updated_at=now)
            state = PollState(poll, Tally(0, 0, {}), revision=0, at=now)
            record = audit_record("poll.create", state, AuditHead(), Actor("tok_"), before={}, after=whole_poll(state))
            await insert_poll(connection, site, poll, record)
        return web.Response(status=201, body=_CREATED)

    async def cast(request: web.Request) -> web.Response:
        await request.read()
        poll_id, key = UUID(request.match_info["id"]), secrets.token_bytes(32)
        async with pool.acquire() as connection:
            (found,) = (await select_ballots(connection, [BallotKey(site, poll_id, (key,))])).values()
            await cast_ballot(connection, Voter("voter", key, found.state, None), Ballot(("option-1",)))
        return web.Response(status=201, body=_CREATED)

    app = web.Application()
    app.router.add_post("/v1/polls", create)
    app.router.add_put("/v1/polls/{id}/votes/{participant}", cast)
    app.router.add_get("/readyz", handler_of(READY_ANSWER))
    return app


async def _skip_reset(_connection: object) -> None:
    pass


async def _serve(port: int, database_url: str, site: str) -> None:
    pool: Any = await asyncpg.create_pool(database_url, reset=_skip_reset)
    runner = web.AppRunner(build_app(pool, site), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(os.environ["POLLS_PORT"]), os.environ["POLLS_DATABASE_URL"], os.environ["BARE_SITE"]))
