"""A fixed corpus of malformed bodies for every route that reads a body, with the status of each. None is a 500."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from services.polls.routes import MAX_BATCH_BYTES
from shared.runtime.http.routes import MAX_BODY_BYTES
from tests.support.body_routes import (
    BODY_ROUTES,
    LUNCH,
    POLL_ROUTES,
    create_route,
    find_unexpected,
    invalid_body_status,
    option_with,
    poll_with,
    settings_with,
    status_of,
    with_raw,
)
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

NOT_JSON: Final[dict[str, bytes]] = {
    "nothing": b"",
    "white space": b" \r\n\t ",
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(LUNCH).encode(),
    "UTF-16": json.dumps(LUNCH).encode("utf-16"),
    "bad UTF-8": b'{"title": "\xff\xfe"}',
    "overlong UTF-8": b'{"title": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"title": "\xed\xa0\x80"}',
    "cut UTF-8": b'{"title": "\xf0\x9f\x98"}',
    "NUL": b"\0" * 100,
    "NUL after it": json.dumps(LUNCH).encode() + b"\0",
    "a control character in a text": b'{"title": "a\x01b"}',
    "an unpaired high surrogate": b'{"title": "\\ud800"}',
    "an unpaired low surrogate": b'{"title": "\\udc00 "}',
    "an unpaired surrogate in a name": b'{"\\ud83d": 1}',
    "an unpaired surrogate, nested": b'{"x": [{"y": "\\udfff\\ud800"}]}',
    "arrays, deep": b"[" * 60_000,
    "objects, deep": b'{"a":' * 10_000,
    "arrays, deep and closed": b'{"x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "just too deep": b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}",
    "an unclosed brace": b"{",
    "a text after it": json.dumps(LUNCH).encode() + b"x",
    "two values": b"{}{}",
    "a trailing comma": b'{"title": "x",}',
    "single quotes": b"{'title': 'x'}",
    "a comment": b'{"title": "x"} // y',
    "NaN": b'{"title": NaN}',
    "Infinity": b'{"x": -Infinity}',
    "hexadecimal": b'{"x": 0x10}',
    "a leading zero": b'{"x": 007}',
    "a form": b"title=x&options=y",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>',
    "a duplicate name": b'{"title": "x", "title": "x"}',
    "a duplicate name, once escaped": b'{"title": "x", "\\u0074itle": "x"}',
    "a duplicate name, nested": b'{"x": {"y": [0, {"z": [{"a": 1, "a": 2}]}]}}',
    "a thousand duplicate names": b"{" + b", ".join(b'"%d": 1, "%d": 2' % (n, n) for n in range(1000)) + b"}",
}
NOT_AN_OBJECT: Final[dict[str, bytes]] = {
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "negative zero": b"-0",
    "negative zero with a point": b"-0.0",
    "a huge number": b"9" * 5_000,
    "a number out of range": b"1e400",
    "a text": b'"title"',
    "an array": b"[]",
    "an array of objects": b"[{}]",
    "a long text": b'"' + b"x" * 60_000 + b'"',
    "many nulls": b"[" + b"null," * 5_000 + b"null]",
}


async def test_body_that_is_not_json_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in BODY_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)

            answers = {case: (body, await route.send(body)) for case, body in NOT_JSON.items()}

            assert find_unexpected(answers, dict.fromkeys(NOT_JSON, 400)) == {}


async def test_json_body_that_is_not_an_object_returns_422_or_400_under_contract(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for name in BODY_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)

            answers = {case: (body, await route.send(body)) for case, body in NOT_AN_OBJECT.items()}

            assert find_unexpected(answers, dict.fromkeys(NOT_AN_OBJECT, invalid_body_status(route))) == {}


async def test_body_over_limit_returns_413(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in BODY_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            limit = MAX_BATCH_BYTES if name == "batch" else MAX_BODY_BYTES
            longest = await route.send(b"x" * limit)
            bodies = {
                "a long title": route.wrap(with_raw({**LUNCH, "title": "x" * 1024 * 1024}, "")),
                "junk": b"x" * (limit + 1),
            }

            answers = {case: (body, await route.send(body)) for case, body in bodies.items()}

            assert longest.status == 400
            assert find_unexpected(answers, dict.fromkeys(bodies, 413)) == {}


@pytest.mark.parametrize("polls_limits", [{"body_limit_s": 0.3}])
async def test_chunked_body_that_stalls_returns_408(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in BODY_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            pieces = {b"": 408, b"1\r\n{\r\n": 408, b"ffff\r\n{": 408, b"x\r\n{\r\n": 400}

            sent = await asyncio.gather(*map(route.send_without_end, pieces))
            answers = {str(piece): (b"", answer) for piece, answer in zip(pieces, sent, strict=True)}

            assert find_unexpected(answers, {str(piece): status for piece, status in pieces.items()}) == {}


async def test_chunked_body_without_end_returns_413(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in BODY_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)

            async def endless() -> AsyncGenerator[bytes, None]:
                for _ in range(10_000):
                    yield b" " * 1000
                    await asyncio.sleep(0)

            answer = await route.send(endless())

            assert find_unexpected({name: (b"", answer)}, {name: 413}) == {}


HUGE: Final = "9" * 5_000
INVALID_NUMBERS: Final = (
    "1.5",
    "7.0",
    "-0.0",
    "1e2",
    "1e400",
    "-1e400",
    "9" * 30,
    HUGE,
    str(2**31),
    str(-(2**31)),
    str(2**63),
    '"0"',
    "true",
    "[]",
    "{}",
)
INVALID_DATES: Final = (
    *("0000-01-01", "0000-00-00", "10000-01-01", "2026-02-30", "2026-13-01", "2026-00-10", "2025-02-29"),
    "9999-12-31-00:01",
    *("2026-12-31T23:58:60Z", "2016-12-31T23:59:61Z", "2026-12-24T24:00:01Z", "2026-12-24T18", "2026-12-24T18:0"),
    *(
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-12-24T18:00:00+24:00",
        "2026-12-24T18:00:00-24:00",
    ),
    *(
        "2026-12-24T18:00:00+23:60",
        "2026-12-24T18:00:00 01:00",
        "2026-W01-1",
        "20261224",
        "1767225600",
        "now",
        " 2026-12-24",
    ),
    *(
        "2026-12-24\n",
        "٢٠٢٦-١٢-٢٤",
        "2026-12-24T18:00:00.Z",
        "2026-12-24T18:00Zulu",
        "-2026-12-24",
        "2026-12-24\0",
        "x" * 5_000,
    ),
)
INVISIBLE: Final = (
    " ",
    "\u200b\u200c\u200d\u2060\ufeff",
    "\u202e\u2066\u2069",
    "\u061c\u200f",
    "\t\r\n\u2028\x7f",
    "\u00ad\u3000",
)

TWINS: Final = [{"id": "1", "title": "Yes"}, {"id": "2", "title": "Ye\u200bs "}]

INVALID_POLLS: Final[dict[str, bytes]] = {
    **{f"order {raw[:40]} of {len(raw)}": with_raw(option_with(order="RAW"), raw) for raw in INVALID_NUMBERS},
    **{
        f"endDate {text[:40]!r}": with_raw(settings_with(endDate=text, closePollOnEndDate=True), "")
        for text in INVALID_DATES
    },
    **{f"endDate {raw}": with_raw(settings_with(endDate="RAW"), raw) for raw in ("0", "[]", "{}", "false")},
    **{f"title {raw}": with_raw(poll_with(title="RAW"), raw) for raw in ("7", "[]", "{}", "true", '""', '"\\u0000"')},
    **{f"title {text!r}": with_raw(poll_with(title=text), "") for text in INVISIBLE},
    **{f"option title {text!r}": with_raw(option_with(title=text), "") for text in INVISIBLE},
    **{f"description {raw}": with_raw(poll_with(description="RAW"), raw) for raw in ("7", "[]", '"a\\u0000"')},
    **{
        f"options {raw}": with_raw(poll_with(options="RAW"), raw)
        for raw in ("7", '"y"', "{}", "[]", "[null]", "[[]]", "[7]")
    },
    **{f"option {raw}": with_raw(poll_with(options=["RAW"]), raw) for raw in ("{}", '{"id": "y"}', '{"title": "Yes"}')},
    **{f"option id {raw}": with_raw(option_with(id="RAW"), raw) for raw in ("null", "1", '""', '"\\u0000"', '"n"')},
    **{f"option title {raw}": with_raw(option_with(title="RAW"), raw) for raw in ("null", "1", '""', '"\\u0000"')},
    **{f"settings {raw}": with_raw(poll_with(settings="RAW"), raw) for raw in ("7", "[]", '"x"', "true")},
    **{f"allowRevote {raw}": with_raw(settings_with(allowRevote="RAW"), raw) for raw in ('"true"', "1", "[]", "{}")},
    **{
        f"visibility {raw}": with_raw(settings_with(resultsVisibility="RAW"), raw) for raw in ('""', "0", '"__proto__"')
    },
    "endDate null, not closing": with_raw(settings_with(endDate=None), ""),
    "a title of 256 characters": with_raw(poll_with(title="😀" * 256), ""),
    "a title of 60,000": with_raw(poll_with(title="x" * 60_000), ""),
    "a description of 10,001": with_raw(poll_with(description="x" * 10_001), ""),
    "an option id of 60,000": with_raw(option_with(id="x" * 60_000), ""),
    "101 options": with_raw(poll_with(options=[{"id": str(n), "title": str(n)} for n in range(101)]), ""),
    "1,500 empty options": with_raw(poll_with(options=[{"id": "", "title": ""}] * 1_500), ""),
    "100 options of one id": with_raw(poll_with(options=[{"id": "~/" * 120, "title": "x"}] * 100), ""),
    "another's id": with_raw(poll_with(id="../../etc/passwd"), ""),
    "an id that is a number": with_raw(poll_with(id="RAW"), "7"),
    "two titles that look the same": with_raw(poll_with(options=TWINS), ""),
}


READ_BY_CONTRACT: Final = (
    *("order 7.0 of 3", "order -0.0 of 4", "order 1e2 of 3", 'order "0" of 3', "title 7", "option id 1"),
    *("option title 1", "endDate null, not closing"),
)
"""A number is read as text, a text as an order, and null as left out."""
ACCEPTED: Final = {
    "change": ("endDate null, not closing",),
    "contract create": (*READ_BY_CONTRACT, "another's id"),
    "contract replace": READ_BY_CONTRACT,
}
"""In a merge patch, null restores a default. The contract ignores the id of a new poll."""


async def test_invalid_poll_returns_422_or_400_under_contract_and_stores_nothing(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            before = len((await polls.call("GET")).json)

            answers = {case: (body, await route.send(route.wrap(body))) for case, body in INVALID_POLLS.items()}

            accepted = dict.fromkeys(ACCEPTED.get(name, ()), 200)
            assert (
                find_unexpected(answers, {**dict.fromkeys(INVALID_POLLS, invalid_body_status(route)), **accepted}) == {}
            )
            assert len((await polls.call("GET")).json) == before + (len(accepted) if name.endswith("create") else 0)


UNKNOWN_VALUES: Final = {
    "a huge number": HUGE,
    "a number out of range": "1e400",
    "deep, but not too deep": "[" * 90 + "]" * 90,
    "a long text": '"' + "x" * 50_000 + '"',
    "negative zero": "-0",
}


async def test_unknown_field_returns_422_and_is_ignored_under_contract(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            bodies = {
                f"{field[:40]} is {case}": with_raw(poll_with(**{field: "RAW"}), raw)
                for field in ("colour", "__proto__", "constructor", "a/b~c", "", "😀", "x" * 5_000)
                for case, raw in UNKNOWN_VALUES.items()
            }

            answers = {case: (body, await route.send(route.wrap(body))) for case, body in bodies.items()}

            assert find_unexpected(answers, dict.fromkeys(bodies, 200 if route.is_contract else 422)) == {}
            assert not [
                case for case, (_, answer) in answers.items() if b"colour" in answer.body and answer.status == 200
            ]


async def test_pointer_to_unknown_field_is_escaped(polls: Polls) -> None:
    route = await create_route(polls, "create")

    refusal = await route.send(route.wrap(with_raw(poll_with(**{"a/b~c": 1}), "")))

    assert [error["pointer"] for error in refusal.json["errors"]] == ["/a~1b~0c"]


INVALID_LOCATIONS: Final = ("null", "7", "[]", "{}", '""', '{"workspace": "A"}', '{"workspace": "", "content": "1"}')
MORE_INVALID_LOCATIONS: Final = (
    '{"workspace": "A\\u0000", "content": "1"}',
    '{"workspace": "A", "content": 1}',
    '{"workspace": "A", "content": "1", "container": null}',
    '{"workspace": "' + "x" * 256 + '", "content": "1"}',
    '{"workspace": "A", "content": "1", "__proto__": {}}',
)


async def test_invalid_location_returns_422(polls: Polls) -> None:
    route = await create_route(polls, "create")
    bodies = {raw: with_raw({**LUNCH, "location": "RAW"}, raw) for raw in (*INVALID_LOCATIONS, *MORE_INVALID_LOCATIONS)}

    answers = {raw: (body, await route.send(body)) for raw, body in bodies.items()}

    assert find_unexpected(answers, dict.fromkeys(bodies, 422)) == {}


INVALID_BATCHES: Final = {
    "no items": '{"items": []}',
    "items that are null": '{"items": null}',
    "items that are an object": '{"items": {"0": {"op": "delete", "id": "x"}}}',
    "an item that is null": '{"items": [null]}',
    "an item without op": '{"items": [{"id": "x"}]}',
    "an unknown op": '{"items": [{"op": "__proto__", "id": "x"}]}',
    "an op that is a number": '{"items": [{"op": 7, "id": "x"}]}',
    "a long op": '{"items": [{"op": "' + "x" * 200_000 + '"}]}',
    "101 items": '{"items": [' + ", ".join(['{"op": "close", "id": "x"}'] * 101) + "]}",
    "a field of another op": '{"items": [{"op": "delete", "id": "x", "poll": {}}]}',
    "an id that is a number": '{"items": [{"op": "delete", "id": 7}]}',
    "atomic as a text": '{"atomic": "true", "items": [{"op": "delete", "id": "x"}]}',
}


async def test_invalid_batch_returns_422(polls: Polls) -> None:
    route = await create_route(polls, "batch")

    answers = {case: (text.encode(), await route.send(text.encode())) for case, text in INVALID_BATCHES.items()}

    assert find_unexpected(answers, dict.fromkeys(INVALID_BATCHES, 422)) == {}


async def test_item_with_malformed_id_returns_404(polls: Polls) -> None:
    route = await create_route(polls, "batch")
    bodies = {
        each[:40]: json.dumps({"items": [{"op": "close", "id": each}]}).encode()
        for each in ("x" * 64, "\0", "../..", "😀", "__proto__")
    }

    answers = {case: (body, await route.send(body)) for case, body in bodies.items()}

    assert {case: status_of(answer) for case, (_, answer) in answers.items()} == dict.fromkeys(bodies, 404)


async def test_item_with_malformed_if_match_returns_400(polls: Polls) -> None:
    route = await create_route(polls, "batch")
    item = {"op": "close", "id": route.poll_id, "ifMatch": "1\r\nX-Evil: 1"}

    answer = await route.send(json.dumps({"items": [item]}).encode())

    assert status_of(answer) == 400


INVALID_BALLOTS: Final = {
    **{f"optionIds {raw}": with_raw({"optionIds": "RAW"}, raw) for raw in ("null", '"y"', "{}", "[]", "[7]", "[null]")},
    **{
        f"optionIds {raw}": with_raw({"optionIds": "RAW"}, raw)
        for raw in ('["y", "y"]', '["\\u0000"]', '["__proto__"]')
    },
    **{
        f"name {raw}": with_raw({"optionIds": ["y"], "name": "RAW"}, raw)
        for raw in ("7", '""', '"\\u0000"', "{}", "[]")
    },
    **{
        f"comment {raw}": with_raw({"optionIds": ["y"], "comment": "RAW"}, raw)
        for raw in ("7", '""', '"\\u0000"', "{}")
    },
    "no optionIds": b"{}",
    "5,000 option ids": with_raw({"optionIds": ["x"] * 5_000}, ""),
    "a long option id": with_raw({"optionIds": ["x" * 60_000]}, ""),
    "a long name": with_raw({"optionIds": ["y"], "name": "x" * 256}, ""),
    "a long comment": with_raw({"optionIds": ["y"], "comment": "x" * 2_001}, ""),
    "an unknown field": with_raw({"optionIds": ["y"], "participant": "eve"}, ""),
    "a huge number in an unknown field": with_raw({"optionIds": ["y"], "x": "RAW"}, HUGE),
}


async def test_invalid_ballot_returns_422_and_is_not_counted(polls: Polls) -> None:
    route = await create_route(polls, "cast")

    answers = {case: (body, await route.send(body)) for case, body in INVALID_BALLOTS.items()}

    assert find_unexpected(answers, dict.fromkeys(INVALID_BALLOTS, 422)) == {}
    assert (await polls.get_results(route.poll_id))["participants"] == 0
