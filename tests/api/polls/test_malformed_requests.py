"""A fixed corpus of malformed paths, queries and headers, with the status of each. None is a 500."""

import json
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import quote

import pytest

from tests.support.body_routes import JIRA, LUNCH, find_unexpected
from tests.support.problem_checks import find_violations
from tests.support.raw_http import send_raw
from tests.support.stack import Answer, Polls

pytestmark = pytest.mark.shared_services


async def test_malformed_participant_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["GET", "PUT", "DELETE"]:
        with subtests.test(method=method):
            poll = await polls.create_poll()
            odd = ("%00", "%FF", "%ED%A0%80", "%C0%AF", "%", "%zz", "a%00b", "x" * 256, "%F0%9F%98")
            body = {"optionIds": ["y"]} if method == "PUT" else None

            answers = {
                each: (each.encode(), await polls.v1(method, f"/polls/{poll['id']}/votes/{each}", body)) for each in odd
            }

            assert find_unexpected(answers, dict.fromkeys(odd, 400)) == {}


def encode_cursor(*values: object) -> str:
    """Return a cursor in the format of the service, with these values."""
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


SOME_ID: Final = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
EXTREMES: Final = ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59")
INVALID_CURSORS: Final = (
    *(
        "x",
        "=",
        "%00",
        "%FF",
        "e30",
        "W10",
        "A" * 2_001,
        "..%2F",
        encode_cursor(),
        encode_cursor(1, 2),
        encode_cursor(None, SOME_ID),
    ),
    *(
        encode_cursor("2026-01-01T00:00:00", SOME_ID),
        encode_cursor("2026-01-01T00:00:00Z", "x"),
        encode_cursor("2026-02-30T00:00:00Z", SOME_ID),
    ),
    *(encode_cursor(end, SOME_ID) for end in EXTREMES),
)
INVALID_QUERIES: Final = (
    *("workspace=%FF", "workspace=%00", "workspace=%ED%A0%80", "workspace=A&workspace=A", "content=1", "container=1"),
    *(
        "workspace=A&content=1&container=",
        "workspace=A&container=1",
        "workspace=A&content=",
        "&".join(f"x{n}=1" for n in range(51)),
        "colour=red",
        "__proto__=1",
        "%00=1",
        "%FF=1",
    ),
    *("limit=0", "limit=101", "limit=-1", "limit=1e2", "limit=1.5", "limit=%D9%A3", "limit=", f"limit={'9' * 5_000}"),
    *(
        "limit=10&limit=10",
        "workspace=",
        "workspace=&content=",
        "status=",
        "status=OPEN",
        "status=null",
        "expand=",
        "expand=votes",
        "updatedSince=",
    ),
    *(
        f"updatedSince={quote(text)}"
        for text in (*EXTREMES, "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:01Z")
    ),
    *(f"updatedSince={text}" for text in ("2026-01-01T00:00:60Z", "2026-01-01T00:00:00+01:00", "10000-01-01", "1")),
    *(f"cursor={text}" for text in INVALID_CURSORS),
)


async def test_malformed_query_of_list_returns_400(polls: Polls) -> None:
    await polls.create_poll()

    answers = {query[:80]: (query.encode(), await polls.v1("GET", f"/polls?{query}")) for query in INVALID_QUERIES}

    assert find_unexpected(answers, {query[:80]: 400 for query in INVALID_QUERIES}) == {}


INVALID_QUERIES_OF_POLL = [
    ("", ("expand=votes", "expand=results&expand=results", "x=1", "expand=%FF")),
    ("/results", ("participant=", "participant=%00", f"participant={'x' * 256}", "participant=%ED%A0%80", "x=1")),
    (
        "/votes",
        (
            "limit=0",
            "cursor=x",
            "cursor=%00",
            f"cursor={encode_cursor(1)}",
            f"cursor={encode_cursor(chr(0))}",
            f"cursor={'A' * 2_001}",
            "participant=a",
        ),
    ),
]


async def test_malformed_query_of_poll_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for path, queries in INVALID_QUERIES_OF_POLL:
        with subtests.test(path):
            poll = await polls.create_poll(settings={"saveParticipantNames": True})

            answers = {
                query[:80]: (query.encode(), await polls.v1("GET", f"/polls/{poll['id']}{path}?{query}"))
                for query in queries
            }

            assert find_unexpected(answers, {query[:80]: 400 for query in queries}) == {}


async def test_malformed_query_of_edit_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["PUT", "PATCH"]:
        with subtests.test(method=method):
            poll = await polls.create_poll()
            queries = (
                "dropVotes=",
                "dropVotes=1",
                "dropVotes=True",
                "dropVotes=true&dropVotes=true",
                "dropVotes=%00",
                "x=1",
            )

            answers = {
                query: (query.encode(), await polls.v1(method, f"/polls/{poll['id']}?{query}", LUNCH))
                for query in queries
            }

            assert find_unexpected(answers, dict.fromkeys(queries, 400)) == {}


CONTRACT_QUERIES: Final = {
    **dict.fromkeys(("workspace=%FF&content=1", "workspace=%00&content=1", "workspace=A&workspace=B&content=1"), 400),
    **dict.fromkeys(("workspace=%ED%A0%80&content=1", "workspace=A&content=1&expand=x", "content=1"), 400),
    **dict.fromkeys(("workspace=A&content=1&container=%00", "workspace=A&content=1&type=polls"), 400),
    **dict.fromkeys((f"workspace=A&content=1&pollId={each}" for each in ("x", "%F0%9F%98%80", "..", "1" * 5_000)), 404),
    **dict.fromkeys(
        (f"workspace=A&content=1&pollId={each}" for each in ("%00", "%FF", f"{SOME_ID}&pollId={SOME_ID}")), 400
    ),
    "workspace=A&content=1&__proto__=1&x%00=1": 200,
    f"workspace={'x' * 5_000}&content={'y' * 2_000}": 200,
}


async def test_malformed_query_of_contract_returns_400_or_404(polls: Polls) -> None:
    path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&"

    answers = {query: (query.encode(), await polls("GET", path + query)) for query in CONTRACT_QUERIES}

    assert find_unexpected(answers, CONTRACT_QUERIES) == {}


async def test_malformed_endpoint_returns_404(polls: Polls) -> None:
    query = f"token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"
    odd = ("%00", "%FF", "..%2F", "A" * 5_000, "%F0%9F%98%80", "{endpoint}")

    answers = {each: (each.encode(), await polls("GET", f"/x1/{each}?{query}")) for each in odd}

    assert find_unexpected(answers, dict.fromkeys(odd, 404)) == {}


LONG: Final = "x" * 5_000
HEADERS: Final[dict[str, dict[str, int]]] = {
    "Idempotency-Key": dict.fromkeys(("", "a b", "é", '"a', 'a"', '"a\\b"', "a,b", "x" * 256, LONG), 400),
    "If-Match": dict.fromkeys(("", "1", '"1', '"1" "2"', "W/1", '*, "1"', '"1",x', "'1'", LONG), 400),
    "If-None-Match": dict.fromkeys(("1", '"1', '"1" "2"', "W/1", '*, "1"', '"a b"', LONG), 400),
    "Last-Event-ID": dict.fromkeys(("", "é", "1.2", "1.1.1.1", "-1..", '"', LONG), 200),
    "Accept": dict.fromkeys(("", ";", "text/csv;q=x", "*/*;q=9", "text/*, ,", "é", "q=0", LONG), 200),
    "Content-Type": {
        **dict.fromkeys(("", "x", "application/jsonx", "text/json", "application/json, text/plain", "é", LONG), 415),
        **dict.fromkeys(("application/json;charset=utf-16", "APPLICATION/JSON ;;;", 'application/json; x="'), 201),
    },
}
"""The status for each value of each header that the service reads."""


async def test_malformed_header_returns_4xx_or_is_ignored(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in HEADERS:
        with subtests.test(name=name):
            poll = await polls.create_poll()

            answers = {
                value: (value.encode(), await send_with_header(polls, poll["id"], name, value))
                for value in HEADERS[name]
            }

            assert find_unexpected(answers, HEADERS[name]) == {}


async def send_with_header(polls: Polls, poll_id: str, name: str, value: str) -> Answer:
    """Send a request to a route that reads this header, and return the response."""
    headers = {"Authorization": f"Bearer {polls.token}", "Content-Type": "application/json", name: value}
    path = f"/v1/polls/{poll_id}"
    if name in ("Idempotency-Key", "Content-Type"):
        return await polls.v1("POST", "/polls", {**LUNCH, "location": JIRA}, headers)
    if name == "Last-Event-ID":
        async with polls.session.get(f"{polls.base}{path}/events", headers=headers) as response:
            return Answer(response.status, response.headers, await response.content.readline())
    path += "/results" if name == "Accept" else ""
    return await polls(
        "PATCH" if name == "If-Match" else "GET", path, headers=headers, data=b"{}" if name == "If-Match" else None
    )


SPLITS: Final = (
    *(b"a\rX-Evil: 1", b"a\0b", b"a\nX-Evil: 1", b"a\r\n X-Evil: 1", b"%0d%0aX-Evil:%201"),
    "\u560d\u560aX-Evil: 1".encode(),
)


async def test_header_with_line_break_does_not_split_response(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in [*HEADERS, "X-Request-ID", "Authorization"]:
        with subtests.test(name=name):
            poll = await polls.create_poll()
            token = b"" if name == "Authorization" else f"Authorization: Bearer {polls.token}\r\n".encode()
            head = (
                f"GET /v1/polls/{poll['id']}/results HTTP/1.1\r\nHost: x\r\n".encode() + token + name.encode() + b": "
            )

            answers = [await send_raw(polls, head + split + b"\r\n\r\n") for split in SPLITS]

            assert {answer.status for answer in answers} <= {200, 400, 401}
            violations = [find_violations(answer, split) for answer, split in zip(answers, SPLITS, strict=True)]
            assert violations == [[]] * len(SPLITS)
            assert not any("X-Evil" in answer.headers or b"Evil" in answer.body for answer in answers)


async def test_token_that_is_no_text_returns_401(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    for token in (b"\xff", b"pgt_\xff\xfe", polls.token.encode() + b"\xff", "pgt_\u00e9".encode()):
        with subtests.test(token=token):
            head = f"GET /v1/polls/{poll['id']} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ".encode()

            answer = await send_raw(polls, head + token + b"\r\n\r\n")

            assert answer.status == 401
