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
from services.polls.domain.ballot import Ballot
from services.polls.domain.poll import Option, PollSpec
from services.polls.payloads.audit import whole_poll
from services.polls.storage.audit import append_audit
from services.polls.storage.ballots import cast_ballot, select_ballot
from services.polls.storage.polls import insert_poll
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
        async with pool.acquire() as connection, connection.transaction():
            state = await insert_poll(connection, site, _PLACE, uuid4(), _SPEC)
            record = audit_record("poll.create", state, AuditHead(), Actor("tok_"), before={}, after=whole_poll(state))
            await append_audit(connection, site, state.poll, record)
        return web.Response(status=201, body=_CREATED)

    async def cast(request: web.Request) -> web.Response:
        await request.read()
        poll_id, voter = UUID(request.match_info["id"]), secrets.token_bytes(32)
        async with pool.acquire() as connection:
            found = await select_ballot(connection, site, poll_id, [voter])
            if found is None:
                raise web.HTTPNotFound
            ballot = Ballot(("option-1",))
            await cast_ballot(connection, found[0].poll, voter, ballot)
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
