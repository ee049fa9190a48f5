"""The exceptions of the client library: one per status, in the words of a program."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from pollgate.client import (
    AuthorityClient,
    ClientError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidArgument,
    Location,
    NewPoll,
    NotFound,
    Option,
    OutcomeUnknown,
    PollsClient,
    PollSettings,
    PreconditionFailed,
    RateLimited,
    Unauthorized,
    UnexpectedResponse,
    UnprocessableContent,
)
from shared.contract.token import mint
from shared.runtime.process.serve import listen
from tests.support.stack import HOST, Authority, Polls

pytestmark = pytest.mark.shared_services

PLACE = Location("PLAT", "PLAT-1")
LUNCH = NewPoll(PLACE, title="Lunch?", options=[Option("1", "Yes"), Option("2", "No")])
POLL_TOKEN, ADMIN_KEY = mint("pgt"), mint("pga")
UNKNOWN_POLL = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


@asynccontextmanager
async def run_server_that_answers(status: int, **answer: Any) -> AsyncGenerator[str, None]:
    """Run a server that answers every request in the same way; yield its URL."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, **answer)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with listen(app, HOST, 0) as port:
        yield f"http://{HOST}:{port}"


async def test_unknown_token_raises_401_with_request_id(polls: Polls) -> None:
    async with PollsClient(polls.base, "pgt_" + "A" * 38) as client:
        with pytest.raises(Unauthorized) as raised:
            await client.list_templates()
        with pytest.raises(Unauthorized):
            await client.get_poll(UNKNOWN_POLL)

    error = raised.value
    assert (error.status, error.type, error.title) == (401, "unauthorized", "Unauthorized")
    assert error.request_id
    assert error.detail
    assert (error.service, error.url) == ("polls service", polls.base)


async def test_token_without_the_scope_raises_403(polls: Polls, authority: Authority) -> None:
    reader = await authority.issue("polls:read:PLAT")

    async with PollsClient(polls.base, reader["token"]) as client:
        with pytest.raises(Forbidden) as raised:
            await client.create_poll(LUNCH)

    assert (raised.value.status, raised.value.type) == (403, "insufficient-scope")
    assert "polls:create:PLAT/PLAT-1" in raised.value.detail


async def test_unknown_poll_raises_404(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        with pytest.raises(NotFound) as raised:
            await client.close_poll(UNKNOWN_POLL)

    assert (raised.value.status, raised.value.type) == (404, "unknown-poll")


async def test_close_poll_with_stale_etag_raises_412(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        with pytest.raises(PreconditionFailed) as raised:
            await client.close_poll(poll.id, if_match='"7"')

    assert (raised.value.status, raised.value.type) == (412, "poll-changed")


async def test_change_poll_that_would_drop_votes_raises_409_with_argument(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["1"])
        with pytest.raises(Conflict) as raised:
            await client.change_poll(poll.id, {"options": [{"id": "2", "title": "No"}]})

    assert "drop_votes=True" in str(raised.value)
    assert [(each.argument, each.pointer) for each in raised.value.errors] == [("fields['options']", "/options")]
    assert not [word for word in ("dropVotes", "query", "--") if word in str(raised.value)]


@pytest.mark.parametrize(
    ("poll", "argument", "detail"),
    [
        (NewPoll(PLACE, title="", options=[Option("1", "Yes")]), "poll.title", "1 to 255"),
        (NewPoll(PLACE, title="x", options=[Option("1", "Yes"), Option("2", "")]), "poll.options[1].title", ""),
        (
            NewPoll(PLACE, template="stars", settings=PollSettings(close_poll_on_end_date=True)),
            "poll.settings.end_date",
            "close_poll_on_end_date needs an end date",
        ),
        (
            {
                "template": "stars",
                "location": {"workspace": "PLAT", "content": "P"},
                "settings": {"closePollOnEndDate": True},
            },
            "poll['settings']['endDate']",
            "closePollOnEndDate needs an end date",
        ),
        (
            {"template": "sun", "location": {"workspace": "PLAT", "content": "P"}},
            "poll['template']",
            "Unknown template",
        ),
    ],
)
async def test_create_poll_with_wrong_value_raises_422_with_its_path(
    polls: Polls, poll: Any, argument: str, detail: str
) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        with pytest.raises(UnprocessableContent) as raised:
            await client.create_poll(poll)

    assert [each.argument for each in raised.value.errors] == [argument]
    assert detail in raised.value.errors[0].detail
    assert argument in str(raised.value)


async def test_cast_ballot_for_unknown_option_raises_422_with_its_index(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        with pytest.raises(UnprocessableContent) as raised:
            await client.cast_ballot(poll.id, "ada", ["9"])

    assert [each.argument for each in raised.value.errors] == ["option_ids[0]"]


async def test_malformed_batch_raises_422_with_the_item(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        with pytest.raises(UnprocessableContent) as raised:
            await client.batch([{"op": "close", "id": UNKNOWN_POLL}, {"op": "close"}])

    assert raised.value.errors[0].argument.startswith("items[1]")


async def test_batch_item_that_would_drop_votes_has_409_with_field_of_item(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["1"])
        edit = {"op": "update", "id": poll.id, "poll": {"title": poll.title, "options": [{"id": "2", "title": "No"}]}}
        refused = (await client.batch([edit])).items[0]
        changed = (await client.batch([{**edit, "dropVotes": True}])).items[0]

    assert (refused.status, changed.status) == (409, 200)
    assert refused.problem is not None
    assert "'dropVotes': True" in refused.problem.detail
    assert "query" not in refused.problem.detail


async def test_unresolvable_host_raises_invalid_argument_or_connection_failed() -> None:
    async with PollsClient("http://" + "a" * 300, "pgt_x") as client:
        with pytest.raises(InvalidArgument, match=r"^url: "):
            await client.list_templates()
    async with PollsClient("http://host.invalid", "pgt_x") as client:
        with pytest.raises(ConnectionFailed):
            await client.list_templates()


async def test_refused_query_raises_400_with_argument(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        with pytest.raises(ClientError) as raised:
            await client.get_results(poll.id, participant="ada ")

    assert raised.value.status == 400
    assert [each.argument for each in raised.value.errors] == ["participant"]


async def test_refused_query_parameter_is_named_as_argument() -> None:
    problem = json.dumps({"title": "Bad Request", "errors": [{"parameter": "updatedSince", "detail": "x"}]})
    async with (
        run_server_that_answers(400, text=problem, content_type="application/problem+json") as url,
        PollsClient(url, POLL_TOKEN) as client,
    ):
        with pytest.raises(ClientError) as raised:
            await anext(aiter(client.list_polls(updated_since=datetime(2030, 1, 1, tzinfo=UTC))))

    assert raised.value.status == 400
    assert [each.argument for each in raised.value.errors] == ["updated_since"]
    assert "updatedSince" not in str(raised.value)


async def test_naive_time_raises_error_with_argument(polls: Polls, authority: Authority) -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - naive on purpose
    async with PollsClient(polls.base, polls.token) as client:
        with pytest.raises(InvalidArgument, match="naive") as listed:
            await anext(aiter(client.list_polls(updated_since=naive)))
    async with AuthorityClient(authority.base, authority.admin_key) as admin:
        with pytest.raises(InvalidArgument, match="naive") as created:
            await admin.create_token("x", ["polls:read:PLAT"], expires_at=naive)

    assert (listed.value.argument, created.value.argument) == ("updated_since", "expires_at")


async def test_refused_authority_request_raises_error_with_argument(authority: Authority) -> None:
    async with AuthorityClient(authority.base, authority.admin_key) as client:
        with pytest.raises(UnprocessableContent) as created:
            await client.create_token("x", ["polls:read:PLAT", "polls:fly:PLAT"], rate_limit=0)
        token = await client.create_token("x", ["polls:read:PLAT"])
        with pytest.raises(UnprocessableContent) as changed:
            await client.change_token(token.id, {"scopes": ["polls:*:*"]})
        with pytest.raises(UnprocessableContent) as revoked:
            await client.revoke_token(token.id, "other")

    assert {each.argument for each in created.value.errors} <= {"scopes[1]", "rate_limit"}
    assert changed.value.type == "widening"
    assert changed.value.errors[0].argument == "fields['scopes']"
    assert [each.argument for each in revoked.value.errors] == ["text"]


async def test_rotate_token_with_key_of_another_rotation_raises_error_with_argument(authority: Authority) -> None:
    token = await authority.issue()
    async with AuthorityClient(authority.base, authority.admin_key) as client:
        await client.rotate_token(token["id"], idempotency_key="one", overlap_s=60)
        with pytest.raises(UnprocessableContent) as raised:
            await client.rotate_token(token["id"], idempotency_key="one", overlap_s=90)

    assert raised.value.type == "idempotency-key-reused"
    assert "idempotency_key" in str(raised.value)
    assert "Idempotency-Key" not in str(raised.value)


async def test_429_raises_rate_limited_with_retry_after_s(
    polls: Polls, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pollgate.client.retries.TIME_LIMIT_S", -1.0)
    token = await authority.issue("polls:read:PLAT", rate_limit=1)

    async with PollsClient(polls.base, token["token"]) as client:
        await client.list_templates()
        with pytest.raises(RateLimited) as raised:
            await client.list_templates()

    assert raised.value.retry_after_s is not None
    assert 0 < raised.value.retry_after_s <= 60


async def test_service_without_listener_raises_connection_failed() -> None:
    async with PollsClient("http://127.0.0.1:1", "pgt_x") as client:
        with pytest.raises(ConnectionFailed) as raised:
            await client.list_templates()

    assert (raised.value.status, raised.value.reason) == (None, "ClientConnectorError")
    assert "POLLS_URL" not in str(raised.value)


async def test_change_with_500_raises_outcome_unknown_with_consequence() -> None:
    async with run_server_that_answers(500) as url, AuthorityClient(url, "pga_x") as client:
        with pytest.raises(OutcomeUnknown, match="it may have been created") as raised:
            await client.create_token("x", ["polls:*:*"])

    assert (raised.value.status, raised.value.is_repeatable) == (500, False)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(307, {"headers": {"Location": "http://other.example/"}}), (200, {"text": "<html>"}), (200, {"body": b"\xff"})],
)
async def test_response_of_another_server_raises_unexpected_response(status: int, answer: dict[str, Any]) -> None:
    async with run_server_that_answers(status, **answer) as url, PollsClient(url, "pgt_x") as client:
        with pytest.raises(UnexpectedResponse) as raised:
            await client.list_templates()

    assert raised.value.status == status


async def test_url_with_a_path_raises_404_with_remedy(polls: Polls) -> None:
    async with PollsClient(f"{polls.base}/v1", polls.token) as client:
        with pytest.raises(NotFound, match="url must be the root of the polls service"):
            await client.list_templates()


@pytest.mark.parametrize(
    "url", ["authority", "", "ftp://host", "http://", "http://host:99999", "//host", "http://h/?a=b", "http://u:p@h"]
)
def test_invalid_url_raises_invalid_argument(url: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^url: ") as raised:
        PollsClient(url, "pgt_x")

    assert raised.value.argument == "url"
    assert isinstance(raised.value, ValueError)
    assert "_URL" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "a b", "pgt_x\r\nX-Evil: 1", "pgt_ż"])
def test_token_invalid_in_header_raises_invalid_argument_without_the_token(token: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^token: ") as raised:
        PollsClient("http://127.0.0.1:1", token)

    assert not token or token not in str(raised.value)


async def test_invalid_argument_is_raised_before_anything_is_sent() -> None:
    async with PollsClient("http://127.0.0.1:1", "pgt_x") as client:
        calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("if_match", lambda: client.delete_poll("x", if_match="1")),
            ("if_match", lambda: client.change_poll("x", {}, if_match='"1"\r\nX-Evil: 1')),
            ("participant", lambda: client.get_ballot("x", "")),
            ("participant", lambda: client.get_results("x", participant="pgt_" + "A" * 38)),
            ("participant", lambda: client.withdraw_ballot("x", "pgt_" + "A" * 38)),
            ("participant", lambda: client.get_ballot("x", "\ud800")),
            ("poll_id", lambda: client.get_poll("\ud800")),
            ("fields", lambda: client.change_poll("x", {"title": "\ud800"})),
            ("poll", lambda: client.create_poll({"title": "\ud800"})),
            ("limit", lambda: anext(aiter(client.list_polls(-1)))),
            ("workspace", lambda: anext(aiter(client.list_polls(workspace="\ud800")))),
        ]
        for argument, call in calls:
            with pytest.raises(InvalidArgument, match=f"^{argument}: ") as raised:
                await call()
            assert raised.value.argument == argument


async def test_text_instead_of_list_raises_type_error(polls: Polls, authority: Authority) -> None:
    admin = AuthorityClient(authority.base, authority.admin_key)
    async with PollsClient(polls.base, polls.token) as client, admin:
        poll = await client.create_poll(
            NewPoll(
                PLACE,
                title="x",
                options=[Option("1", "a"), Option("2", "b")],
                settings=PollSettings(allow_selection_of_multiple_options=True),
            )
        )
        calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("option_ids", lambda: client.cast_ballot(poll.id, "ada", "12")),
            ("items", lambda: client.batch("x")),  # type: ignore[arg-type]
            ("items", lambda: client.batch({"op": "close", "id": poll.id})),  # type: ignore[arg-type]
            ("scopes", lambda: admin.create_token("x", "polls:*:*")),
            ("allowed_ips", lambda: admin.create_token("x", ["polls:*:*"], allowed_ips="10.0.0.0/8")),
            ("ids", lambda: admin.revoke_tokens("unneeded", ids="tok_x")),
            ("kinds", lambda: anext(aiter(admin.review_tokens("unused")))),
            ("sites", lambda: admin.create_admin_key("x", "issuer", sites="site_x")),
            ("scopes", lambda: admin.create_admin_key("x", "issuer", scopes="polls:*:*")),
            ("sites", lambda: admin.create_service("x", sites="site_x")),
            ("scopes", lambda: admin.create_token("x", [1])),  # type: ignore[list-item]
        ]
        for argument, call in calls:
            with pytest.raises(TypeError, match=f"^{argument} must be a list of "):
                await call()
        results = await client.get_results(poll.id)
        tokens = [token async for token in admin.list_tokens()]

    assert results.votes == 0
    assert "x" not in [token.name for token in tokens]


async def test_delete_that_is_answered_with_another_status_than_204_raises_unexpected_response() -> None:
    async with (
        run_server_that_answers(200, text="<html>It works!</html>") as url,
        PollsClient(url, POLL_TOKEN) as client,
        AuthorityClient(url, ADMIN_KEY) as admin,
    ):
        with pytest.raises(UnexpectedResponse):
            await client.delete_poll(UNKNOWN_POLL)
        with pytest.raises(UnexpectedResponse):
            await admin.revoke_admin_key("adm_1")


async def test_stream_of_another_media_type_raises_unexpected_response() -> None:
    async with (
        run_server_that_answers(200, text="<html>It works!</html>", content_type="text/html") as url,
        PollsClient(url, POLL_TOKEN) as client,
    ):
        with pytest.raises(UnexpectedResponse):
            await anext(client.stream_events(UNKNOWN_POLL))


async def test_url_that_contains_a_secret_raises_invalid_argument_without_it() -> None:
    with pytest.raises(InvalidArgument) as raised:
        PollsClient(f"http://{HOST}/{POLL_TOKEN}", POLL_TOKEN)

    assert POLL_TOKEN not in repr(raised.value)


async def test_secret_that_a_server_repeats_is_redacted() -> None:
    problem = {"type": "/docs/problems/x", "title": "X", "status": 400, "detail": f"not {POLL_TOKEN}"}
    async with (
        run_server_that_answers(400, text=json.dumps(problem), content_type="application/problem+json") as url,
        PollsClient(url, POLL_TOKEN) as client,
    ):
        with pytest.raises(ClientError) as raised:
            await client.list_templates()

    assert POLL_TOKEN not in f"{raised.value!r} {raised.value.detail}"


async def test_malformed_response_raises_outcome_unknown_without_the_secret_in_its_context() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, PollsClient(f"http://{HOST}:{port}", POLL_TOKEN) as client:
        with pytest.raises(OutcomeUnknown) as raised:
            await client.change_poll(UNKNOWN_POLL, {"title": "x"})

    assert POLL_TOKEN not in "".join(_texts_of(raised.value))


def _texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield the text of an error, and of the errors that it came from."""
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__
