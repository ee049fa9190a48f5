"""HEAD on every GET route of both services, OPTIONS on every path, and the Allow header."""

from collections.abc import Iterable

import pytest
from msgspec.structs import fields

from services.polls.routes import ROUTES as POLLS_ROUTES
from services.polls.settings import PollsSettings
from services.token_authority.routes import ROUTES as AUTHORITY_ROUTES
from shared.runtime.http.routes import Route
from tests.support.stack import Authority, Caller, Polls
from tests.support.voter import create_link

pytestmark = pytest.mark.shared_services

UNLISTED = (
    "/",
    "/docs",
    "/docs/style.css",
    "/docs/problems",
    "/docs/problems/not-found",
    "/openapi.json",
    "/livez",
    "/readyz",
)
VARYING = {
    "Date",
    "X-Request-ID",
    "Token-Validated-Age",
    "RateLimit",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
}
STREAMS = {"/v1/polls/{id}/events"}


def paths_of(routes: Iterable[Route], **segments: str) -> list[str]:
    """Return the path of each GET route whose response ends, with these segments in it."""
    routes = [route for route in routes if route.method == "GET" and route.path not in STREAMS]
    return [route.path.format_map(segments) for route in routes] + list(UNLISTED)


async def require_head_like_get(caller: Caller, path: str, headers: dict[str, str]) -> None:
    """Assert that HEAD has the status and headers of GET, and no content."""
    got = await caller("GET", path, headers=headers, allow_redirects=False)
    head = await caller("HEAD", path, headers=headers, allow_redirects=False)
    assert (head.status, head.body) == (got.status, b"")
    for name in (got.headers.keys() | head.headers.keys()) - VARYING:
        assert head.headers.get(name) == got.headers.get(name), name
    content = int(got.headers.get("Content-Length", 0)) > 0
    assert (int(head.headers.get("Content-Length", 0)) > 0) is content


async def test_head_of_every_get_route_of_polls_is_like_get(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = (await polls.create_poll(settings={"saveParticipantNames": True}))["id"]
    assert (await polls.vote(poll_id, "ada", "y")).status == 201
    link_id = (await create_link(polls, poll_id))["id"]
    headers = {"Authorization": f"Bearer {polls.token}"}

    for path in paths_of(POLLS_ROUTES, id=poll_id, participant="ada", endpoint=polls.endpoint, link=link_id):
        with subtests.test(path=path):
            query = "?type=polls&workspace=PLAT&content=PLAT-1" if path.startswith("/x1/") else ""
            query = "?workspace=PLAT" if path == "/v1/polls" else query
            await require_head_like_get(polls, path + query, headers)


async def test_head_of_every_get_route_of_the_authority_is_like_get(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = await authority.issue()

    for path in paths_of(AUTHORITY_ROUTES, id=token["id"], client_id="polls"):
        with subtests.test(path=path):
            headers = {"Authorization": f"Bearer {token['token']}"} if path == "/v1/token" else authority.admin
            await require_head_like_get(authority, path, headers)


async def test_head_of_an_event_stream_returns_200_without_holding_a_place(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    limit = {field.name: field.default for field in fields(PollsSettings)}["event_streams_per_token"]

    for _ in range(limit + 1):
        answer = await polls.v1("HEAD", f"/polls/{poll_id}/events")
        assert (answer.status, answer.body) == (200, b"")

    answer = await polls.v1("HEAD", f"/polls/{poll_id}/events")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert "Content-Length" not in answer.headers


async def test_head_without_token_returns_401(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    answer = await polls("HEAD", f"/v1/polls/{poll_id}")

    assert (answer.status, answer.body) == (401, b"")


async def test_head_without_scope_returns_403(authority: Authority, polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    voter = polls.with_token((await authority.issue("polls:vote:PLAT"))["token"])

    for path in (f"/polls/{poll_id}", f"/polls/{poll_id}/events"):
        assert (await voter.v1("HEAD", path)).status == 403


async def test_options_returns_204_with_the_methods_of_the_path(
    authority: Authority, polls: Polls, subtests: pytest.Subtests
) -> None:
    for caller, routes in ((polls, POLLS_ROUTES), (authority, AUTHORITY_ROUTES)):
        for path in {route.path for route in routes}:
            with subtests.test(path=path):
                methods = {route.method for route in routes if route.path == path} | {"OPTIONS"}
                answer = await caller("OPTIONS", path.replace("{", "").replace("}", ""))
                assert (answer.status, answer.body) == (204, b"")
                assert methods <= set(answer.headers["Allow"].split(", "))
                assert ("HEAD" in answer.headers["Allow"]) is ("GET" in answer.headers["Allow"])


async def test_options_of_an_unknown_path_returns_404(polls: Polls) -> None:
    assert (await polls("OPTIONS", "/v1/sheep")).status == 404


async def test_unsupported_method_returns_405_with_the_methods_of_the_path(polls: Polls) -> None:
    answer = await polls("PATCH", "/v1/polls")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")


async def test_path_with_an_encoded_line_feed_returns_404_with_its_request_id(polls: Polls) -> None:
    answer = await polls("GET", "/sheep%0Agoat", headers={"X-Request-ID": "of-the-caller"})

    assert (answer.status, answer.headers["X-Request-ID"]) == (404, "of-the-caller")
    assert answer.json["type"] == "/docs/problems/not-found"
