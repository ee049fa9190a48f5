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

INVISIBLE: Final = ("\u200b\u200c\u200d\u2060\ufeff", "\t\r\n\x01\x1f\x7f\x80\x9f\u2028\u2029", " ")
UNUSUAL_TEXTS: Final = (
    *INVISIBLE,
    "\u202eless\u200b \u2066is\u2069\ufeff",
    "e\u0301 é Å A\u030a ﬁ ß ẞ İ ı",
    "שלום \u202eevil\u202c \u2066x\u2069 مرحبا",
    "🏳️\u200d🌈 👩\u200d👩\u200d👧\u200d👦 \U0010ffff \ufffe\uffff",
    "Z" + "\u0300" * 254,
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


def to_title(text: str) -> str:
    """Return the text, with a visible character if it has none, because a title needs one."""
    return f"{text}x{text}" if text in INVISIBLE else text


async def test_unusual_text_in_poll_is_returned_unchanged(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)
            for text, escaped in itertools.product(UNUSUAL_TEXTS, (True, False)):
                title = to_title(text)
                sent = {"title": title, "description": text, "options": [{"id": text, "title": title, "order": 0}]}

                answer = await route.send(route.wrap(json.dumps(sent, ensure_ascii=escaped).encode()))

                assert status_of(answer) in (200, 201), (text, answer.body)
                poll = answer.json["items"][0]["poll"] if name == "batch" else answer.json
                shown = (await polls.v1("GET", f"/polls/{poll['id']}")).json
                assert {field: poll[field] for field in sent} == {field: shown[field] for field in sent} == sent
                assert "X-Evil" not in answer.headers


async def test_unusual_text_in_ballot_is_returned_unchanged(polls: Polls) -> None:
    for text in UNUSUAL_TEXTS:
        poll = await polls.create_poll(
            options=[{"id": text, "title": to_title(text)}],
            settings={"saveParticipantNames": True, "allowComment": True},
        )

        cast = await polls.vote(poll["id"], text, text, name=text, comment=text)
        shown = await polls.v1("GET", f"/polls/{poll['id']}/votes/{quote(text, safe='')}")

        assert cast.status == 201, cast.body
        assert shown.json == cast.json
        assert [shown.json[field] for field in ("participant", "name", "comment")] == [text] * 3
        assert shown.json["optionIds"] == [text]
        assert (await polls.get_results(poll["id"]))["options"][0]["votes"] == 1


async def test_unusual_options_are_no_formulas_in_csv(polls: Polls) -> None:
    poll = await polls.create_poll(options=[{"id": text, "title": to_title(text)} for text in UNUSUAL_TEXTS])

    table = await polls.v1("GET", f"/polls/{poll['id']}/results", headers={"Accept": "text/csv"})

    rows = list(csv.reader(io.StringIO(table.body.decode(), newline="")))
    assert len(rows) == 1 + len(UNUSUAL_TEXTS)
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row)


VALID_NUMBERS: Final = {"0": 0, "-0": 0, str(2**31 - 1): 2**31 - 1, "-5": -5, "null": 0}
VALID_DATES: Final = ("0001-01-01", "9999-12-30", "2024-02-29", "2026-12-24t18:00:00z", "9999-12-31T23:59:59+23:59")


async def test_unusual_but_valid_poll_returns_200_or_201(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await create_route(polls, name)

            orders = {
                raw: await route.send(route.wrap(with_raw(option_with(order="RAW"), raw))) for raw in VALID_NUMBERS
            }
            ends = {end: await route.send(route.wrap(with_raw(settings_with(endDate=end), ""))) for end in VALID_DATES}
            many = [{"id": f"{n:0>255}", "title": "😀" * 40} for n in range(100)]
            longest = await route.send(route.wrap(json.dumps(poll_with(options=many), ensure_ascii=False).encode()))

            polls_made = {raw: first_poll(answer) for raw, answer in [*orders.items(), *ends.items()]}
            assert {raw: polls_made[raw]["options"][0]["order"] for raw in orders} == VALID_NUMBERS
            assert {end: polls_made[end]["settings"]["endDate"] for end in ends} == {end: end for end in VALID_DATES}
            assert len(first_poll(longest)["options"]) == 100


def first_poll(answer: Answer) -> Any:
    assert status_of(answer) in (200, 201), answer.body
    return answer.json["items"][0]["poll"] if "items" in answer.json else answer.json
