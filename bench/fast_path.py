"""Measure the requests that integrations and services send most, each beside a bare server in the same run.

A bare server is aiohttp on uvloop without middlewares, log and limits. For a read it sends the same answer as the
service. For a write it executes the same statements.
"""

import base64
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from bench.bare import Answer
from bench.report import Figure
from bench.rounds import COUNTER, RequestKind, Rounds, RoundsOrder, bearer, pin_apart, ratio, send_rounds
from bench.site import OPTIONS, Integrator, create_full_token
from bench.stack import Running, Service, Stack

CONNECTIONS: Final = 32
MANY_CONNECTIONS: Final = 100
ROUND_S: Final = 0.5
AT_PLACE: Final = 5
VOTERS: Final = 7
MOST_P99_RATIO: Final = 3.0
MOST_INTROSPECTION_MS: Final = 42.0
MOST_WRITE_US: Final = 250.0
JSON: Final = {"Content-Type": "application/json"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class Case(Struct, frozen=True):
    """A request that is measured, and its limits. The connections take the `paths` in turn."""

    name: str
    paths: Sequence[str]
    headers: Mapping[str, str]
    least_ratio: float
    method: str = "GET"
    body: str = ""
    most_p99_ratio: float | None = None
    most_us: float | None = None

    def kind(self, server: Service) -> RequestKind:
        """Return the request to a server."""
        return RequestKind(
            port=server.port,
            pid=server.pid or 0,
            paths=self.paths,
            headers=self.headers,
            method=self.method,
            body=self.body,
        )


async def fast_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure reads, writes and introspection."""
    reads = await read_figures(stack, running, rounds)
    writes = await write_figures(stack, running, rounds)
    return [*reads, *writes, *await introspection_figures(stack, running, rounds)]


async def read_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure `GET` of one poll under `/x1` and `/v1`, and of a place with five polls and their results."""
    token = await create_full_token(running.authority)
    async with stack.polls(running.url, "fast") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        poll_ids = [await integrator.create_poll("ONE") for _ in range(CONNECTIONS)]
        first = secrets.randbelow(1_000_000_000)  # an earlier run has filled its own places
        places = [f"FIVE-{first + number}" for number in range(CONNECTIONS)]
        for place in places:
            await _fill_place(integrator, place)
        x1 = f"/x1/{running.endpoint_id}?token={token}&type=polls"
        of_poll = [f"{x1}&workspace=ONE&content=ONE-1&pollId={poll_id}" for poll_id in poll_ids]
        of_place = [f"{x1}&workspace=FIVE&content={place}&expand=results" for place in places]
        one, five = "GET of one poll", f"GET /x1 of {AT_PLACE} polls with results"
        cases = [
            Case(
                f"{one}, /v1",
                [f"/v1/polls/{each}" for each in poll_ids],
                bearer(token),
                0.5,
                most_p99_ratio=MOST_P99_RATIO,
            ),
            Case(f"{one}, /x1", of_poll, {}, 0.5, most_p99_ratio=MOST_P99_RATIO),
            Case(five, of_place, {}, 0.35),
        ]
        return await _compare_with_answers(stack, running, polls, cases, rounds)


async def _fill_place(integrator: Integrator, content: str) -> None:
    for _ in range(AT_PLACE):
        poll_id = await integrator.create_poll("FIVE", content=content)
        for voter in range(VOTERS):
            await integrator.vote(poll_id, f"voter-{voter}", f"option-{1 + voter % len(OPTIONS)}")


async def introspection_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure introspection by a service, with 32 and with 100 connections."""
    token = await create_full_token(running.authority)
    credential = base64.b64encode(f"polls:{stack.client_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {credential}", **FORM}
    case = Case("introspection", ["/oauth2/introspect"], headers, 0.3, method="POST", body=f"token={token}")
    figures = await _compare_with_answers(stack, running, running.service, [case], rounds)
    with pin_apart([running.service.pid or 0], [stack.postgres_pid]) as core:
        kinds = [case.kind(running.service)]
        (many,) = await send_rounds(RoundsOrder(kinds, MANY_CONNECTIONS, rounds, ROUND_S, core))
    what = f"{case.name}: p99 with {MANY_CONNECTIONS} connections"
    return [*figures, Figure("fast path", what, many.p99_ms, "ms", most=MOST_INTROSPECTION_MS)]


async def write_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure creating polls, and casting ballots in different polls."""
    token = await create_full_token(running.authority)
    (site,) = await running.authority.list_sites()
    async with (
        stack.polls(running.url, "writes") as polls,
        stack.polls(running.url, "bare-writes", "bench.bare_writes", BARE_SITE=site.id) as bare,
        aiohttp.ClientSession() as session,
    ):
        integrator = Integrator(session, polls.base, token)
        poll_ids = [await integrator.create_poll("CAST") for _ in range(CONNECTIONS)]
        location = {"workspace": "NEW", "content": "NEW-1"}
        body = {"title": "Which of these?", "location": location, "options": OPTIONS}
        headers = {**bearer(token), **JSON}
        create = Case("create a poll", ["/v1/polls"], headers, 0.7, "POST", _encode(body), most_us=MOST_WRITE_US)
        paths = [f"/v1/polls/{poll_id}/votes/voter-{COUNTER}" for poll_id in poll_ids]
        choice = _encode({"optionIds": ["option-1"]})
        cast = Case("cast a ballot", paths, headers, 0.7, "PUT", choice, most_us=MOST_WRITE_US)
        figures = await _measure(stack, [(create, polls, bare)], rounds)
        return figures + await _measure(stack, [(cast, polls, bare)], rounds)


async def _compare_with_answers(
    stack: Stack, running: Running, service: Service, cases: Sequence[Case], rounds: int
) -> list[Figure]:
    """Measure each case beside a bare server that sends the answer of the service."""
    async with AsyncExitStack() as opened, aiohttp.ClientSession() as session:
        triples = []
        for number, case in enumerate(cases):
            answer = await _record(session, service, case)
            bare = await opened.enter_async_context(_bare(stack, running, f"bare-{number}", answer))
            triples.append((case, service, bare))
        return await _measure(stack, triples, rounds)


@asynccontextmanager
async def _bare(stack: Stack, running: Running, name: str, answer: Answer) -> AsyncGenerator[Service, None]:
    async with stack.polls(running.url, name, "bench.bare", BARE_ANSWERS=_encode([answer])) as service:
        yield service


async def _record(session: aiohttp.ClientSession, service: Service, case: Case) -> Answer:
    """Return what the service answers, without the headers that aiohttp adds by itself."""
    path, data = case.paths[0], case.body.encode() or None
    async with session.request(case.method, service.base + path, headers=case.headers, data=data) as response:
        content = await response.read()
    kept = {name: value for name, value in response.headers.items() if name not in ("Date", "Content-Length")}
    template = path.partition("?")[0]
    if len({each.partition("?")[0] for each in case.paths}) > 1:
        template = template.rpartition("/")[0] + "/{id}"
    return Answer(case.method, template, response.status, kept, content.decode())


async def _measure(stack: Stack, triples: Sequence[tuple[Case, Service, Service]], rounds: int) -> list[Figure]:
    kinds = [case.kind(server) for case, service, bare in triples for server in (service, bare)]
    with pin_apart([kind.pid for kind in kinds], [stack.postgres_pid]) as core:
        measured = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    pairs = zip(measured[::2], measured[1::2], strict=True)
    return [
        figure
        for (case, _, _), (service, bare) in zip(triples, pairs, strict=True)
        for figure in _figures(case, service, bare)
    ]


def _figures(case: Case, service: Rounds, bare: Rounds) -> list[Figure]:
    part, name = "fast path", case.name
    return [
        Figure(part, f"{name}: bare", bare.rate, "requests/s"),
        Figure(part, name, service.rate, "requests/s"),
        Figure(part, f"{name}: ratio", ratio(service.rates, bare.rates), "", least=case.least_ratio),
        Figure(part, f"{name}: processor time, bare", bare.server_median_us, "µs"),
        Figure(part, f"{name}: processor time", service.server_median_us, "µs", most=case.most_us),
        Figure(part, f"{name}: p99, bare", bare.p99_ms, "ms"),
        Figure(part, f"{name}: p99", service.p99_ms, "ms"),
        Figure(part, f"{name}: ratio of the p99", service.p99_ms / bare.p99_ms, "", most=case.most_p99_ratio),
    ]


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
