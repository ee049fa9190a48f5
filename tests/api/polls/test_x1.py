"""The wire contract, call by call, as an integrator's client would make them."""

import asyncio
import secrets
from itertools import product
from typing import Any

import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

STARS: dict[str, Any] = {
    "title": "Stars from ⭐ to ⭐⭐⭐⭐⭐",
    "description": "Simple scoring from 1 to 5 stars",
    "options": [{"id": str(n), "title": "⭐" * n, "order": n - 1} for n in range(1, 6)],
    "settings": {
        "allowSelectionOfMultipleOptions": False,
        "resultsVisibility": "alwaysPublic",
        "endDate": "",
        "hideAbsoluteNumbers": False,
        "allowRevote": False,
        "saveParticipantNames": False,
        "closePollOnEndDate": False,
        "allowComment": False,
    },
}
NOBODYS_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
LUNCH: dict[str, Any] = {"title": "Lunch?", "options": [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}]}


async def test_the_manuals_example_goes_through_every_method_unchanged(polls: Polls) -> None:
    created = await polls.call("POST", STARS)
    poll = created.json
    poll_id = poll["id"]
    listed = await polls.call("GET", pollId=poll_id)
    renamed = {**poll, "title": "Stars, again: ⭐"}
    replaced = await polls.call("PUT", renamed, pollId=poll_id)
    listed_again = await polls.call("GET")
    deleted = await polls.call("DELETE", pollId=poll_id)

    assert (created.status, poll) == (200, {"id": poll_id, **STARS})
    assert (listed.status, listed.json) == (200, [poll])
    assert (replaced.status, replaced.json) == (200, renamed)
    assert listed_again.json == [renamed]
    assert (deleted.status, deleted.body) == (200, b"")
    assert (await polls.call("GET")).json == []


async def test_unicode_comes_back_byte_for_byte(polls: Polls) -> None:
    title = "e\u0301 é 🏳️\u200d🌈 שלום \u202e\u200b\u007f\t \\\"'</script>"

    created = await polls.call("POST", {**LUNCH, "title": title})

    assert created.json["title"] == title
    assert (await polls.call("GET")).json[0]["title"] == title


async def test_what_a_body_leaves_out_has_the_contracts_defaults(polls: Polls) -> None:
    created = await polls.call("POST", LUNCH)

    assert created.json["description"] == ""
    assert created.json["settings"] == STARS["settings"]
    assert [option["order"] for option in created.json["options"]] == [0, 1]


async def test_fields_that_are_not_known_are_ignored(polls: Polls) -> None:
    created = await polls.call("POST", {**LUNCH, "colour": "red"})

    assert created.status == 200
    assert "colour" not in created.json


async def test_polls_are_listed_in_the_order_of_creation(polls: Polls) -> None:
    ids = [(await polls.call("POST", {**LUNCH, "title": f"Poll {n}"})).json["id"] for n in range(5)]

    assert [poll["id"] for poll in (await polls.call("GET")).json] == ids


async def test_of_more_polls_than_fit_an_answer_one_is_shown_at_a_time(polls: Polls) -> None:
    item = {"op": "create", "poll": {"template": "yes-no", "location": {"workspace": "PLAT", "content": "PLAT-1"}}}
    made = [await polls.v1("POST", "/polls:batch", {"items": [item] * 100}) for _ in range(10)]
    as_many_as_fit = await polls.call("GET")
    await polls.call("POST", LUNCH)

    too_many = await polls.call("GET")
    last = made[-1].json["items"][-1]["id"]
    one = await polls.call("GET", pollId=last)

    assert len(as_many_as_fit.json) == 1000
    assert (too_many.status, too_many.json["errors"][0]["parameter"]) == (400, "pollId")
    assert "/v1/polls" in too_many.json["errors"][0]["detail"]
    assert [poll["id"] for poll in one.json] == [last]


async def test_polls_so_long_that_they_do_not_fit_an_answer_are_shown_one_at_a_time(polls: Polls) -> None:
    options = [{"id": f"{n:03}" + "€" * 60, "title": "€" * 140} for n in range(100)]
    place = {"workspace": "PLAT", "content": "PLAT-1"}
    item = {"op": "create", "poll": {"title": "Long", "options": options, "location": place}}
    made = [await polls.v1("POST", "/polls:batch", {"items": [item] * 3}) for _ in range(50)]

    too_long = await polls.call("GET", expand="results")
    one = await polls.call("GET", pollId=made[-1].json["items"][0]["id"])

    assert (too_long.status, too_long.json["errors"][0]["parameter"]) == (400, "pollId")
    assert len(one.json) == 1


async def test_a_confluence_macro_has_polls_of_its_own(polls: Polls) -> None:
    macro = polls.at(workspace="SPACE", content="12345", container="macro-7")

    poll_id = (await macro.call("POST", LUNCH)).json["id"]

    assert [poll["id"] for poll in (await macro.call("GET")).json] == [poll_id]
    assert (await macro.at(workspace="SPACE", content="12345").call("GET")).json == []
    assert (await macro.at(workspace="SPACE", content="12345", container="").call("GET")).json == []


async def test_a_place_may_be_called_anything(polls: Polls) -> None:
    odd = polls.at(workspace="A&B=C/D?E#F", content="ß %2F +", container="宏")

    poll_id = (await odd.call("POST", LUNCH)).json["id"]

    assert [poll["id"] for poll in (await odd.call("GET")).json] == [poll_id]


async def test_a_place_with_too_long_a_name_is_400(polls: Polls) -> None:
    long = polls.at(workspace="W" + secrets.token_hex(3_000), content="PLAT-1")

    answer = await long.call("POST", LUNCH)

    assert (answer.status, answer.json["type"]) == (400, "/docs/problems/invalid-poll")


async def test_a_poll_of_another_place_is_404(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = (await polls.call("POST", LUNCH)).json["id"]
    for method in ["GET", "PUT", "DELETE"]:
        with subtests.test(method=method):
            elsewhere = await polls.at(workspace="PLAT", content="PLAT-2").call(
                method, LUNCH if method == "PUT" else None, pollId=poll_id
            )

            assert elsewhere.status == 404
            assert (await polls.call("GET")).json[0]["id"] == poll_id


async def test_an_unknown_poll_is_404(polls: Polls, subtests: pytest.Subtests) -> None:
    for poll_id, method in product([NOBODYS_ID, "1", "not-an-id", "{}", "😀"], ["GET", "PUT", "DELETE"]):
        with subtests.test(poll_id=poll_id, method=method):
            answer = await polls.call(method, LUNCH if method == "PUT" else None, pollId=poll_id)

            assert answer.status == 404
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["title"] == "Not found"


async def test_a_missing_parameter_is_400_and_named(polls: Polls, subtests: pytest.Subtests) -> None:
    for method, missing, value in product(
        ["GET", "POST", "PUT", "DELETE"], ["type", "workspace", "content"], [None, ""]
    ):
        with subtests.test(method=method, missing=missing, value=value):
            query: Any = {"pollId": NOBODYS_ID, missing: value}

            answer = await polls.call(method, LUNCH, **query)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == missing


async def test_put_and_delete_need_a_poll_id(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["PUT", "DELETE"]:
        with subtests.test(method=method):
            answer = await polls.call(method, LUNCH)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == "pollId"


async def test_another_type_than_polls_is_400(polls: Polls) -> None:
    assert (await polls.call("GET", type="votes")).status == 400


async def test_results_come_with_each_poll_where_they_are_asked_for(polls: Polls) -> None:
    poll_id = (await polls.call("POST", STARS)).json["id"]
    await polls.vote(poll_id, "ada", "4")

    plain, expanded = await polls.call("GET"), await polls.call("GET", expand="results", pollId=poll_id)

    assert plain.json == [{"id": poll_id, **STARS}]
    shown = expanded.json[0]
    results = shown.pop("results")
    assert [shown] == plain.json
    assert (results["votes"], results["average"], results["options"][3]["percentage"]) == (1, 4.0, 100.0)


async def test_the_old_form_of_a_request_is_told_what_replaced_it(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["GET", "POST", "PUT", "DELETE"]:
        with subtests.test(method=method):
            old = polls.at(issueKey="PLAT-1")

            answer = await old.call(method, LUNCH if method in ("POST", "PUT") else None, pollId=NOBODYS_ID)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == "issueKey"
            assert "'workspace'" in answer.json["detail"]
            assert "'content'" in answer.json["detail"]


async def test_an_unknown_expand_is_400(polls: Polls) -> None:
    assert (await polls.call("GET", expand="everything")).status == 400


async def test_a_body_with_another_id_is_400(polls: Polls) -> None:
    poll_id = (await polls.call("POST", LUNCH)).json["id"]

    answer = await polls.call("PUT", {**LUNCH, "id": NOBODYS_ID}, pollId=poll_id)

    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/id"


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "/title"),
    ({"title": "x" * 256}, "/title"),
    ({"title": "a\0b"}, "/title"),
    ({"title": 7}, "/title"),
    ({"description": "x" * 10_001}, "/description"),
    ({"options": []}, "/options"),
    ({"options": [{"id": str(n), "title": "x"} for n in range(101)]}, "/options"),
    ({"options": [{"id": "", "title": "x"}]}, "/options/0/id"),
    ({"options": [{"id": "1", "title": ""}]}, "/options/0/title"),
    ({"options": [{"id": "1", "title": "x"}, {"id": "1", "title": "y"}]}, "/options/0/id"),
    ({"options": [{"id": "1", "title": "x", "order": 2**31}]}, "/options/0/order"),
    ({"options": [{"id": 1, "title": "x"}]}, "/options/0/id"),
    ({"settings": {"endDate": "tomorrow"}}, "/settings/endDate"),
    ({"settings": {"endDate": "2026-02-30"}}, "/settings/endDate"),
    ({"settings": {"endDate": "9999-12-31"}}, "/settings/endDate"),
    ({"settings": {"endDate": "0001-01-01T00:00:00+14:00"}}, "/settings/endDate"),
    ({"settings": {"closePollOnEndDate": True}}, "/settings/endDate"),
    ({"settings": {"resultsVisibility": "sometimes"}}, "/settings/resultsVisibility"),
    ({"settings": {"resultsVisibility": "afterClose"}}, "/settings/resultsVisibility"),
    ({"settings": {"allowRevote": "yes"}}, "/settings/allowRevote"),
]


async def test_a_body_that_is_no_valid_poll_is_400_and_says_where(polls: Polls, subtests: pytest.Subtests) -> None:
    for change, pointer in INVALID:
        with subtests.test(pointer, change=str(change)[:60]):
            answer = await polls.call("POST", {**LUNCH, **change})

            assert answer.status == 400
            assert answer.json["errors"][0]["pointer"] == pointer
            assert (await polls.call("GET")).json == []


async def test_an_end_date_comes_back_as_it_was_written(polls: Polls, subtests: pytest.Subtests) -> None:
    for end in ["2026-12-24", "2026-12-24T18:00:00Z", "2026-12-24T18:00:00.5+02:00", ""]:
        with subtests.test(end=end):
            created = await polls.call("POST", {**LUNCH, "settings": {"endDate": end}})

            assert created.json["settings"]["endDate"] == end


NASTY: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"null", 400),
    (b'{"title": "\xff\xfe"}', 400),
    (b'{"title": "\\ud800", "options": [{"id": "1", "title": "x"}]}', 400),
    (b'{"a":' * 10_000, 400),
    (b"[" * 60_000, 400),
    (b'{"title": 1e999, "options": []}', 400),
    (b'{"title": "x", "options": [{"id": "1", "title": "x", "order": ' + b"9" * 5000 + b"}]}", 400),
    (b"\0" * 100, 400),
    (b'{"title": "' + b"x" * 70_000 + b'"}', 413),
]


async def test_a_nasty_body_gets_its_problem(polls: Polls, subtests: pytest.Subtests) -> None:
    for (body, status), method in product(NASTY, ["POST", "PUT"]):
        with subtests.test(method, body=body[:40]):
            answer = await polls.call(method, body, pollId=NOBODYS_ID)

            assert answer.status == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["status"] == status


async def test_a_compressed_body_is_415(polls: Polls, subtests: pytest.Subtests) -> None:
    for encoding in ["gzip", "deflate", "br", "x"]:
        with subtests.test(encoding=encoding):
            path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

            assert (await polls("POST", path, data=b"garbage", headers={"Content-Encoding": encoding})).status == 415


async def test_a_body_that_is_streamed_without_end_is_413(polls: Polls) -> None:
    async def endless() -> Any:
        for _ in range(10_000):
            yield b"x" * 1000
            await asyncio.sleep(0)

    path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"
    answer = await polls("POST", path, data=endless())

    assert answer.status == 413


async def test_a_nasty_query_is_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for query in [
        "workspace=%FF&content=1",
        "workspace=%00&content=1",
        "workspace=A&workspace=B&content=1",
        "&".join("abc") * 30,
    ]:
        with subtests.test(query=query):
            answer = await polls("GET", f"/x1/{polls.endpoint}?token={polls.token}&type=polls&{query}")

            assert answer.status == 400
            assert answer.json["request_id"] == answer.headers["X-Request-ID"]


async def test_many_writers_at_once_lose_nothing(polls: Polls) -> None:
    created = await asyncio.gather(*(polls.call("POST", {**LUNCH, "title": f"Poll {n}"}) for n in range(50)))

    assert {answer.status for answer in created} == {200}
    assert len((await polls.call("GET")).json) == 50


async def test_an_unknown_endpoint_is_404(polls: Polls, authority: Authority) -> None:
    polls.endpoint = "A" * 27

    answer = await polls.call("GET")

    assert answer.status == 404
    assert answer.json["type"].endswith("/unknown-endpoint")
