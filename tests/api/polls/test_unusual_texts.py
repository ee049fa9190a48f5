"""Unusual texts that break no rule are accepted and returned unchanged."""

import csv
import io
import itertools
import json
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.support.body_routes import (
    POLL_ROUTES,
    create_route,
    option_with,
    poll_with,
    settings_with,
    status_of,
    with_raw,
)
from tests.support.stack import Answer, Polls

pytestmark = pytest.mark.shared_services

INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff"
UNUSUAL_TEXTS: Final = (
    INVISIBLE,
    "\u202aless\u202c \u2066is\u2069\ufeff",
    "é Å ﬁ ß ẞ İ ı",
    "שלום \u202bevil\u202c \u2066x\u2069 مرحبا",
    "می\u200cخواهم",
    "Ada\u00a0Lovelace, 愛\u3000羅",
    "🏳️\u200d🌈 👩\u200d👩\u200d👧\u200d👦 \U0010fffd \ue000",
    "Z" + "\u0300" * 30,
    "=1+1",
    "@SUM(A1)\t=cmd|' /C calc'!A0",
    "__proto__",
    "a/b~c~01",
    "'; DROP TABLE polls.poll; --",
    "{{7*7}} ${jndi:ldap://x} %s %n <script>alert(1)</script>",
    "../../etc/passwd\r\nX-Evil: 1",
    "\\u0000 \\ud800",
    "null",
)


def to_line(text: str) -> str:
    """Return the text on one line, with a visible character."""
    return text.replace("\r\n", " ").replace("\t", " ") + ("x" if text == INVISIBLE else "")


def to_lines(text: str) -> str:
    """Return the text with LF as its line break, and with a visible character."""
    return text.replace("\r\n", "\n") + ("x" if text == INVISIBLE else "")


async def test_unusual_text_in_poll_is_returned_unchanged(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            for text, escaped in itertools.product(UNUSUAL_TEXTS, (True, False)):
                title = to_line(text)
                options = [{"id": text, "title": title, "order": 0}]
                sent = {"title": title, "description": to_lines(text), "options": options}

                answer = await route.send(route.wrap(json.dumps(sent, ensure_ascii=escaped).encode()))

                assert status_of(answer) in (200, 201), (text, answer.body)
                poll = answer.json["items"][0]["poll"] if name == "batch" else answer.json
                shown = (await polls.v1("GET", f"/polls/{poll['id']}")).json
                assert {field: poll[field] for field in sent} == {field: shown[field] for field in sent} == sent
                assert "X-Evil" not in answer.headers


async def test_unusual_text_in_ballot_is_returned_unchanged(polls: Polls) -> None:
    for text in UNUSUAL_TEXTS:
        poll = await polls.create_poll(
            options=[{"id": text, "title": to_line(text)}],
            settings={"saveParticipantNames": True, "allowComment": True},
        )
        line = to_line(text)

        cast = await polls.vote(poll["id"], line, text, name=line, comment=to_lines(text))
        shown = await polls.v1("GET", f"/polls/{poll['id']}/votes/{quote(line, safe='')}")

        assert cast.status == 201, cast.body
        assert shown.json == cast.json
        assert [shown.json[field] for field in ("participant", "name", "comment")] == [line, line, to_lines(text)]
        assert shown.json["optionIds"] == [text]
        assert (await polls.get_results(poll["id"]))["options"][0]["votes"] == 1


NORMALIZED: Final = {
    "  Lunch?\u00a0": "Lunch?",
    "\u3000昼食\u3000": "昼食",
    "Lunch?\r\n": "Lunch?",
    "Gru\u0308ße": "Grüße",
}
NORMALIZED_LINES: Final = {
    **NORMALIZED,
    "one\r\ntwo\rthree\u2028four\tfive\r\n": "one\ntwo\nthree\nfour\tfive",
    " \r\n": "",
}


async def test_text_of_poll_is_stored_in_nfc_trimmed_and_with_line_feeds(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            for sent, stored in NORMALIZED.items():
                answer = await route.send(route.wrap(json.dumps(poll_with(title=sent)).encode()))
                assert first_poll(answer)["title"] == stored, sent
            for sent, stored in NORMALIZED_LINES.items():
                answer = await route.send(route.wrap(json.dumps(poll_with(description=sent)).encode()))
                assert first_poll(answer)["description"] == stored, sent


async def test_text_of_ballot_is_stored_in_nfc_trimmed_and_with_line_feeds(polls: Polls) -> None:
    settings = {"saveParticipantNames": True, "allowComment": True}
    poll = await polls.create_poll(options=[{"id": "a", "title": "A"}], settings=settings)

    cast = await polls.vote(poll["id"], "ada", "a", name=" Ju\u0308rgen\u3000", comment="After\r\nlunch\r\n")

    assert (cast.status, cast.json["name"], cast.json["comment"]) == (201, "Jürgen", "After\nlunch")


REFUSED: Final = {
    "a\u0007b": "U+0007",
    "\u0000": "U+0000",
    "a\u007f": "U+007F",
    "a\u009fb": "U+009F",
    "\u202eevil": "U+202E",
    "\u2067open": "U+2067",
    "closed\u202c": "U+202C",
    "\ufffe": "U+FFFE",
    "Z" + "\u0300" * 31: "30 combining marks",
    "\u200b\u2060": "no visible character",
}
REFUSED_LINES: Final = {"a\nb": "U+000A", "a\r\nb": "U+000D", "a\tb": "U+0009", "a\u2028b": "U+2028"}


async def test_text_with_refused_character_returns_422_that_names_it(polls: Polls, subtests: pytest.Subtests) -> None:
    settings = {"saveParticipantNames": True, "allowComment": True}
    poll = await polls.create_poll(options=[{"id": "a", "title": "A"}], settings=settings)
    votes = f"/polls/{poll['id']}/votes/ada"
    for text, named in {**REFUSED, **REFUSED_LINES}.items():
        bodies: list[tuple[str, str, str, Any]] = [
            ("PATCH", f"/polls/{poll['id']}", "/title", {"title": text}),
            ("PATCH", f"/polls/{poll['id']}", "/options/0/title", {"options": [{"id": "a", "title": text}]}),
            ("PUT", votes, "/name", {"optionIds": ["a"], "name": text}),
        ]
        if text in REFUSED:
            bodies += [
                ("PATCH", f"/polls/{poll['id']}", "/description", {"description": text}),
                ("PUT", votes, "/comment", {"optionIds": ["a"], "comment": text}),
            ]
        for method, path, pointer, body in bodies:
            with subtests.test(text=ascii(text), pointer=pointer):
                answer = await polls.v1(method, path, body)

                assert answer.status == 422
                assert answer.json["errors"][0]["pointer"] == pointer
                assert named in answer.json["errors"][0]["detail"]


async def test_length_is_counted_after_normalization(polls: Polls) -> None:
    decomposed = "u\u0308" * 255

    fits = await polls.create_poll(title=f"  {decomposed}  ")
    too_long = await polls.v1("PATCH", f"/polls/{fits['id']}", {"title": decomposed + "x"})

    assert fits["title"] == "ü" * 255
    assert (too_long.status, "256" in too_long.json["errors"][0]["detail"]) == (422, True)


async def test_unusual_options_are_no_formulas_in_csv(polls: Polls) -> None:
    poll = await polls.create_poll(options=[{"id": text, "title": to_line(text)} for text in UNUSUAL_TEXTS])

    table = await polls.v1("GET", f"/polls/{poll['id']}/results", headers={"Accept": "text/csv"})

    rows = list(csv.reader(io.StringIO(table.body.decode(), newline="")))
    assert len(rows) == 1 + len(UNUSUAL_TEXTS)
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row)


VALID_NUMBERS: Final = {"0": 0, "-0": 0, str(2**31 - 1): 2**31 - 1, "-5": -5, "null": 0}
VALID_DATES: Final = ("0001-01-01", "9999-12-31", "2024-02-29", "2026-12-24t18:00:00z", "9999-12-31T23:59:59+23:59")


async def test_unusual_but_valid_poll_returns_200_or_201(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)

            orders = {
                raw: await route.send(route.wrap(with_raw(option_with(order="RAW"), raw))) for raw in VALID_NUMBERS
            }
            ends = {end: await route.send(route.wrap(with_raw(settings_with(endDate=end), ""))) for end in VALID_DATES}
            many = [{"id": f"{n:0>255}", "title": "😀" * 39 + str(n)} for n in range(100)]
            longest = await route.send(route.wrap(json.dumps(poll_with(options=many), ensure_ascii=False).encode()))

            polls_made = {raw: first_poll(answer) for raw, answer in [*orders.items(), *ends.items()]}
            assert {raw: order_of_first(polls_made[raw]) for raw in orders} == VALID_NUMBERS
            assert {end: polls_made[end]["settings"]["endDate"] for end in ends} == {end: end for end in VALID_DATES}
            assert len(first_poll(longest)["options"]) == 100


def order_of_first(poll: Any) -> Any:
    """Return the order of the option that was sent first."""
    return next(option["order"] for option in poll["options"] if option["id"] == "y")


def first_poll(answer: Answer) -> Any:
    assert status_of(answer) in (200, 201), answer.body
    return answer.json["items"][0]["poll"] if "items" in answer.json else answer.json
