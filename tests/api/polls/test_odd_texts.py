"""What looks odd and breaks no rule is taken as it is, and comes back to the byte."""

import csv
import io
import itertools
import json
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.support.body_routes import POLL_ROUTES, option_with, poll_with, route_to, settings_with, status_of, with_raw
from tests.support.stack import Answer, Polls

pytestmark = pytest.mark.shared_services

INVISIBLE: Final = ("\u200b\u200c\u200d\u2060\ufeff", "\t\r\n\x01\x1f\x7f\x80\x9f\u2028\u2029", " ")
ODD_TEXTS: Final = (
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


def as_title(text: str) -> str:
    """The text, with something to see: a title has that."""
    return f"{text}x{text}" if text in INVISIBLE else text


async def test_odd_text_comes_back_to_the_byte(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await route_to(polls, name)
            for text, escaped in itertools.product(ODD_TEXTS, (True, False)):
                title = as_title(text)
                sent = {"title": title, "description": text, "options": [{"id": text, "title": title, "order": 0}]}

                answer = await route.send(route.around(json.dumps(sent, ensure_ascii=escaped).encode()))

                assert status_of(answer) in (200, 201), (text, answer.body)
                poll = answer.json["items"][0]["poll"] if name == "batch" else answer.json
                shown = (await polls.v1("GET", f"/polls/{poll['id']}")).json
                assert {field: poll[field] for field in sent} == {field: shown[field] for field in sent} == sent
                assert "X-Evil" not in answer.headers


async def test_an_odd_ballot_comes_back_to_the_byte(polls: Polls) -> None:
    for text in ODD_TEXTS:
        poll = await polls.make(
            options=[{"id": text, "title": as_title(text)}],
            settings={"saveParticipantNames": True, "allowComment": True},
        )

        cast = await polls.vote(poll["id"], text, text, name=text, comment=text)
        shown = await polls.v1("GET", f"/polls/{poll['id']}/votes/{quote(text, safe='')}")

        assert cast.status == 201, cast.body
        assert shown.json == cast.json
        assert [shown.json[field] for field in ("participant", "name", "comment")] == [text] * 3
        assert shown.json["optionIds"] == [text]
        assert (await polls.results(poll["id"]))["options"][0]["votes"] == 1


async def test_odd_options_are_inert_in_a_table(polls: Polls) -> None:
    poll = await polls.make(options=[{"id": text, "title": as_title(text)} for text in ODD_TEXTS])

    table = await polls.v1("GET", f"/polls/{poll['id']}/results", headers={"Accept": "text/csv"})

    rows = list(csv.reader(io.StringIO(table.body.decode(), newline="")))
    assert len(rows) == 1 + len(ODD_TEXTS)
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row)


GOOD_NUMBERS: Final = {"0": 0, "-0": 0, str(2**31 - 1): 2**31 - 1, "-5": -5, "null": 0}
GOOD_DATES: Final = ("0001-01-01", "9999-12-30", "2024-02-29", "2026-12-24t18:00:00z", "9999-12-31T23:59:59+23:59")


async def test_what_looks_odd_and_is_a_poll_is_accepted(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in POLL_ROUTES:
        with subtests.test(name=name):
            route = await route_to(polls, name)

            orders = {
                raw: await route.send(route.around(with_raw(option_with(order="RAW"), raw))) for raw in GOOD_NUMBERS
            }
            ends = {end: await route.send(route.around(with_raw(settings_with(endDate=end), ""))) for end in GOOD_DATES}
            many = [{"id": f"{n:0>255}", "title": "😀" * 40} for n in range(100)]
            most = await route.send(route.around(json.dumps(poll_with(options=many), ensure_ascii=False).encode()))

            polls_made = {raw: first_poll(answer) for raw, answer in [*orders.items(), *ends.items()]}
            assert {raw: polls_made[raw]["options"][0]["order"] for raw in orders} == GOOD_NUMBERS
            assert {end: polls_made[end]["settings"]["endDate"] for end in ends} == {end: end for end in GOOD_DATES}
            assert len(first_poll(most)["options"]) == 100


def first_poll(answer: Answer) -> Any:
    assert status_of(answer) in (200, 201), answer.body
    return answer.json["items"][0]["poll"] if "items" in answer.json else answer.json
