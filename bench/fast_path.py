"""Measure the requests that integrations send most, each beside a bare server that sends the same answer."""

from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from msgspec.structs import replace

from bench.bare import Answer
from bench.report import Figure
from bench.rounds import RequestKind, Rounds, RoundsOrder, bearer, pin_apart, ratio, send_rounds
from bench.site import Integrator, create_full_token
from bench.stack import Running, Stack

CONNECTIONS: Final = 32
ROUND_S: Final = 0.5
AT_PLACE: Final = 5
VOTERS: Final = 7
LEAST_OF_ONE: Final = 0.5
LEAST_OF_PLACE: Final = 0.35
MOST_P99_RATIO: Final = 3.0


async def read_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure `GET` of one poll under `/x1` and `/v1`, and of a place with five polls and their results."""
    token = await create_full_token(running.authority)
    async with stack.polls(running.url, "fast") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        poll_ids = [await integrator.create_poll("ONE") for _ in range(CONNECTIONS)]
        places = [f"FIVE-{number}" for number in range(CONNECTIONS)]
        for place in places:
            for _ in range(AT_PLACE):
                listed = await integrator.create_poll("FIVE", content=place)
                for voter in range(VOTERS):
                    await integrator.vote(listed, f"voter-{voter}", f"option-{1 + voter % 5}")
        x1 = f"/x1/{running.endpoint_id}?type=polls"
        requests: dict[str, tuple[list[str], Mapping[str, str]]] = {
            "GET /v1": ([f"/v1/polls/{poll_id}" for poll_id in poll_ids], bearer(token)),
            "GET /x1": (
                [f"{x1}&workspace=ONE&content=ONE-1&pollId={poll_id}&token={token}" for poll_id in poll_ids],
                {},
            ),
            "GET /x1, five polls with results": (
                [f"{x1}&workspace=FIVE&content={place}&expand=results&token={token}" for place in places],
                {},
            ),
        }
        answers = [await _record(session, polls.base, paths[0], headers) for paths, headers in requests.values()]
        answers[0] = replace(answers[0], path="/v1/polls/{id}")
        # The two answers under /x1 have one path: each gets a bare server of its own.
        async with (
            _bare(stack, running, "bare", answers[:2]) as bare,
            _bare(stack, running, "bare-list", answers[2:]) as bare_list,
        ):
            kinds = []
            for name, (paths, headers) in requests.items():
                server = bare_list if "five" in name else bare
                kinds += [
                    RequestKind(port=each.port, pid=each.pid or 0, paths=paths, headers=headers)
                    for each in (polls, server)
                ]
            with pin_apart([kind.pid for kind in kinds], [stack.postgres_pid]) as core:
                measured = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    least = {name: LEAST_OF_PLACE if "five" in name else LEAST_OF_ONE for name in requests}
    return [
        figure
        for number, name in enumerate(requests)
        for figure in _compare(name, measured[2 * number], measured[2 * number + 1], least[name])
    ]


def _compare(what: str, service: Rounds, bare: Rounds, least: float) -> list[Figure]:
    part = "fast path"
    return [
        Figure(part, f"{what}, bare", bare.rate, "requests/s"),
        Figure(part, what, service.rate, "requests/s"),
        Figure(part, f"{what}: ratio", ratio(service.rates, bare.rates), "", least=least),
        Figure(part, f"{what}: p99 to that of bare", service.p99_ms / bare.p99_ms, "", most=MOST_P99_RATIO),
        Figure(part, f"{what}: p99", service.p99_ms, "ms"),
        Figure(part, f"{what}: processor time, bare", bare.server_median_us, "µs"),
        Figure(part, f"{what}: processor time", service.server_median_us, "µs"),
        Figure(part, f"{what}: share of its core", service.busy * 100, "%"),
    ]


def _bare(stack: Stack, running: Running, name: str, answers: list[Answer]):  # type: ignore[no-untyped-def]
    return stack.polls(running.url, name, "bench.bare", BARE_ANSWERS=msgspec.json.encode(answers).decode())


async def _record(session: aiohttp.ClientSession, base: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Return what the service answers, without the headers that aiohttp adds by itself."""
    async with session.get(base + path, headers=headers) as response:
        content = await response.read()
    kept = {name: value for name, value in response.headers.items() if name not in ("Date", "Content-Length")}
    return Answer("GET", path.partition("?")[0], response.status, kept, content.decode())
