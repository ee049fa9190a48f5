"""The Team Voice contract under `/x1`, as a client of an integrator uses it."""

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
UNKNOWN_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
LUNCH: dict[str, Any] = {"title": "Lunch?", "options": [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}]}


async def test_manual_example_is_unchanged_by_every_method(polls: Polls) -> None:
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
    assert (deleted.status, deleted.json, deleted.headers["Content-Type"]) == (200, {}, "application/json")
    assert (await polls.call("GET")).json == []


async def test_unicode_is_returned_unchanged(polls: Polls) -> None:
    title = "é 🏳️\u200d🌈 שלום \u202bא\u202c\u200b \\\"'</script>"

    created = await polls.call("POST", {**LUNCH, "title": title})

    assert created.json["title"] == title
    assert (await polls.call("GET")).json[0]["title"] == title


async def test_fields_left_out_have_defaults_of_contract(polls: Polls) -> None:
    created = await polls.call("POST", LUNCH)

    assert created.json["description"] == ""
    assert created.json["settings"] == STARS["settings"]
    assert [option["order"] for option in created.json["options"]] == [0, 1]


async def test_unknown_fields_are_ignored(polls: Polls) -> None:
    created = await polls.call("POST", {**LUNCH, "colour": "red"})

    assert created.status == 200
    assert "colour" not in created.json


async def test_polls_are_listed_in_order_of_creation(polls: Polls) -> None:
    ids = [(await polls.call("POST", {**LUNCH, "title": f"Poll {n}"})).json["id"] for n in range(5)]

    assert [poll["id"] for poll in (await polls.call("GET")).json] == ids


async def test_list_of_more_than_1000_polls_returns_400_without_poll_id(polls: Polls) -> None:
    item = {"op": "create", "poll": {"template": "yes-no", "location": {"workspace": "PLAT", "content": "PLAT-1"}}}
    made = [await polls.v1("POST", "/polls:batch", {"items": [item] * 100}) for _ in range(10)]
    longest_list = await polls.call("GET")
    await polls.call("POST", LUNCH)

    too_many = await polls.call("GET")
    last = made[-1].json["items"][-1]["id"]
    one = await polls.call("GET", pollId=last)

    assert len(longest_list.json) == 1000
    assert (too_many.status, too_many.json["errors"][0]["parameter"]) == (400, "pollId")
    assert "/v1/polls" in too_many.json["errors"][0]["detail"]
    assert [poll["id"] for poll in one.json] == [last]


async def test_list_of_more_than_16_mib_returns_400_without_poll_id(polls: Polls) -> None:
    options = [{"id": f"{n:03}" + "€" * 60, "title": f"{n:03}" + "€" * 139} for n in range(100)]
    place = {"workspace": "PLAT", "content": "PLAT-1"}
    item = {"op": "create", "poll": {"title": "Long", "options": options, "location": place}}
    made = [await polls.v1("POST", "/polls:batch", {"items": [item] * 3}) for _ in range(50)]

    too_long = await polls.call("GET", expand="results")
    one = await polls.call("GET", pollId=made[-1].json["items"][0]["id"])

    assert (too_long.status, too_long.json["errors"][0]["parameter"]) == (400, "pollId")
    assert len(one.json) == 1


async def test_confluence_macro_has_separate_polls(polls: Polls) -> None:
    macro = polls.at_place(workspace="SPACE", content="12345", container="macro-7")

    poll_id = (await macro.call("POST", LUNCH)).json["id"]

    assert [poll["id"] for poll in (await macro.call("GET")).json] == [poll_id]
    assert (await macro.at_place(workspace="SPACE", content="12345").call("GET")).json == []
    assert (await macro.at_place(workspace="SPACE", content="12345", container="").call("GET")).json == []


async def test_place_with_unusual_characters_returns_200(polls: Polls) -> None:
    odd = polls.at_place(workspace="A&B=C/D?E#F", content="ß %2F +", container="宏")

    poll_id = (await odd.call("POST", LUNCH)).json["id"]

    assert [poll["id"] for poll in (await odd.call("GET")).json] == [poll_id]


async def test_place_that_is_too_long_returns_400(polls: Polls) -> None:
    long = polls.at_place(workspace="W" + secrets.token_hex(3_000), content="PLAT-1")

    answer = await long.call("POST", LUNCH)

    assert (answer.status, answer.json["type"]) == (400, "/docs/problems/invalid-poll")


async def test_poll_of_another_place_returns_404(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = (await polls.call("POST", LUNCH)).json["id"]
    for method in ["GET", "PUT", "DELETE"]:
        with subtests.test(method=method):
            elsewhere = await polls.at_place(workspace="PLAT", content="PLAT-2").call(
                method, LUNCH if method == "PUT" else None, pollId=poll_id
            )

            assert elsewhere.status == 404
            assert (await polls.call("GET")).json[0]["id"] == poll_id


async def test_unknown_or_malformed_poll_id_returns_404(polls: Polls, subtests: pytest.Subtests) -> None:
    for poll_id, method in product([UNKNOWN_ID, "1", "not-an-id", "{}", "😀"], ["GET", "PUT", "DELETE"]):
        with subtests.test(poll_id=poll_id, method=method):
            answer = await polls.call(method, LUNCH if method == "PUT" else None, pollId=poll_id)

            assert answer.status == 404
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["title"] == "Not found"


async def test_missing_parameter_returns_400_with_name(polls: Polls, subtests: pytest.Subtests) -> None:
    for method, missing, value in product(
        ["GET", "POST", "PUT", "DELETE"], ["type", "workspace", "content"], [None, ""]
    ):
        with subtests.test(method=method, missing=missing, value=value):
            query: Any = {"pollId": UNKNOWN_ID, missing: value}

            answer = await polls.call(method, LUNCH, **query)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == missing


async def test_put_or_delete_without_poll_id_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["PUT", "DELETE"]:
        with subtests.test(method=method):
            answer = await polls.call(method, LUNCH)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == "pollId"


async def test_another_type_returns_400(polls: Polls) -> None:
    assert (await polls.call("GET", type="votes")).status == 400


async def test_list_with_expand_includes_results(polls: Polls) -> None:
    poll_id = (await polls.call("POST", STARS)).json["id"]
    await polls.vote(poll_id, "ada", "4")

    plain, expanded = await polls.call("GET"), await polls.call("GET", expand="results", pollId=poll_id)

    assert plain.json == [{"id": poll_id, **STARS}]
    shown = expanded.json[0]
    results = shown.pop("results")
    assert [shown] == plain.json
    assert (results["votes"], results["average"], results["options"][3]["percentage"]) == (1, 4.0, 100.0)


async def test_old_form_of_request_returns_400_with_new_parameters(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["GET", "POST", "PUT", "DELETE"]:
        with subtests.test(method=method):
            old = polls.at_place(issueKey="PLAT-1")

            answer = await old.call(method, LUNCH if method in ("POST", "PUT") else None, pollId=UNKNOWN_ID)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == "issueKey"
            assert "'workspace'" in answer.json["detail"]
            assert "'content'" in answer.json["detail"]


async def test_unknown_expand_returns_400(polls: Polls) -> None:
    assert (await polls.call("GET", expand="everything")).status == 400


async def test_body_with_another_id_returns_400(polls: Polls) -> None:
    poll_id = (await polls.call("POST", LUNCH)).json["id"]

    answer = await polls.call("PUT", {**LUNCH, "id": UNKNOWN_ID}, pollId=poll_id)

    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/id"


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "/title"),
    ({"title": "x" * 256}, "/title"),
    ({"title": "a\0b"}, "/title"),
    ({"title": True}, "/title"),
    ({"title": None}, "/title"),
    ({"description": "x" * 10_001}, "/description"),
    ({"options": []}, "/options"),
    ({"options": [{"id": str(n), "title": str(n)} for n in range(101)]}, "/options"),
    ({"options": [{"id": "", "title": "x"}]}, "/options/0/id"),
    ({"options": [{"id": "1", "title": ""}]}, "/options/0/title"),
    ({"options": [{"id": "1", "title": "x"}, {"id": "1", "title": "y"}]}, "/options/0/id"),
    ({"options": [{"id": "1", "title": "x", "order": 2**31}]}, "/options/0/order"),
    ({"options": [{"id": False, "title": "x"}]}, "/options/0/id"),
    ({"options": [{"id": "1", "title": "x", "order": "first"}]}, "/options/0/order"),
    ({"options": [{"id": "1", "title": "x", "order": 0.5}]}, "/options/0/order"),
    ({"options": [{"id": "1", "title": "x"}, {"id": "2", "title": "x "}]}, "/options/1/title"),
    ({"settings": {"endDate": "tomorrow"}}, "/settings/endDate"),
    ({"settings": {"endDate": "2026-02-30"}}, "/settings/endDate"),
    ({"settings": {"endDate": "9999-12-31-01:00"}}, "/settings/endDate"),
    ({"settings": {"endDate": "0001-01-01T00:00:00+14:00"}}, "/settings/endDate"),
    ({"settings": {"closePollOnEndDate": True}}, "/settings/endDate"),
    ({"settings": {"resultsVisibility": "sometimes"}}, "/settings/resultsVisibility"),
    ({"settings": {"resultsVisibility": "afterClose"}}, "/settings/resultsVisibility"),
    ({"settings": {"allowRevote": "yes"}}, "/settings/allowRevote"),
]


async def test_invalid_poll_returns_400_with_pointer(polls: Polls, subtests: pytest.Subtests) -> None:
    for change, pointer in INVALID:
        with subtests.test(pointer, change=str(change)[:60]):
            answer = await polls.call("POST", {**LUNCH, **change})

            assert answer.status == 400
            assert answer.json["errors"][0]["pointer"] == pointer
            assert (await polls.call("GET")).json == []


async def test_end_date_is_returned_as_written(polls: Polls, subtests: pytest.Subtests) -> None:
    for end in ["2026-12-24", "2026-12-24T18:00:00Z", "2026-12-24T18:00:00.5+02:00", ""]:
        with subtests.test(end=end):
            created = await polls.call("POST", {**LUNCH, "settings": {"endDate": end}})

            assert created.json["settings"]["endDate"] == end


END_DATES = {
    "2030-08-18T02:40:37.0+0000": "2030-08-18T02:40:37Z",
    "2030-08-18T06:23:12.0-0500": "2030-08-18T11:23:12Z",
    "2030-08-18T06:23": "2030-08-18T06:23:00Z",
    "2030-08-18 06:23:01": "2030-08-18T06:23:01Z",
    "2030-08-18+09:00": "2030-08-18T14:59:59.999999Z",
    "2030-08-18T24:00": "2030-08-19T00:00:00Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00Z",
}


async def test_end_date_in_other_form_is_stored_as_rfc_3339(polls: Polls, subtests: pytest.Subtests) -> None:
    for sent, stored in END_DATES.items():
        with subtests.test(sent=sent):
            settings = {"endDate": sent, "closePollOnEndDate": True}

            contract = await polls.call("POST", {**LUNCH, "settings": settings})
            own = await polls.create_poll(settings=settings)

            assert contract.json["settings"]["endDate"] == own["settings"]["endDate"] == stored
            assert own["status"] == ("closed" if stored < "2026" else "open")


async def test_numbers_for_texts_and_null_for_defaults_are_read(polls: Polls) -> None:
    body = {
        "title": 2026,
        "description": None,
        "options": [
            {"id": 1, "title": 10, "order": "1"},
            {"id": 2.0, "title": 4.5, "order": 0.0},
            {"id": "3", "title": "x", "order": None},
        ],
        "settings": {"endDate": None, "allowRevote": None, "resultsVisibility": None, "allowComment": True},
    }

    created = await polls.call("POST", body)
    replaced = await polls.call("PUT", {**LUNCH, "settings": None}, pollId=created.json["id"])

    assert created.status == 200
    assert (created.json["title"], created.json["description"]) == ("2026", "")
    assert created.json["options"] == [
        {"id": "2", "title": "4.5", "order": 0},
        {"id": "1", "title": "10", "order": 1},
        {"id": "3", "title": "x", "order": 2},
    ]
    assert created.json["settings"] == {**STARS["settings"], "allowComment": True}
    assert (replaced.status, replaced.json["settings"]) == (200, STARS["settings"])


async def test_poll_id_in_capitals_is_same_poll(polls: Polls) -> None:
    poll_id = (await polls.call("POST", LUNCH)).json["id"]
    capitals = poll_id.upper()

    shown = await polls.call("GET", pollId=capitals)
    replaced = await polls.call("PUT", {**LUNCH, "id": capitals}, pollId=poll_id)
    also_replaced = await polls.call("PUT", {**LUNCH, "id": poll_id}, pollId=capitals)
    deleted = await polls.call("DELETE", pollId=capitals)

    assert [answer.status for answer in (shown, replaced, also_replaced, deleted)] == [200] * 4
    assert replaced.json["id"] == also_replaced.json["id"] == poll_id


MALFORMED_BODIES: list[tuple[bytes, int]] = [
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


async def test_malformed_body_returns_400_or_413(polls: Polls, subtests: pytest.Subtests) -> None:
    for (body, status), method in product(MALFORMED_BODIES, ["POST", "PUT"]):
        with subtests.test(method, body=body[:40]):
            answer = await polls.call(method, body, pollId=UNKNOWN_ID)

            assert answer.status == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["status"] == status


async def test_compressed_body_returns_415(polls: Polls, subtests: pytest.Subtests) -> None:
    for encoding in ["gzip", "deflate", "br", "x"]:
        with subtests.test(encoding=encoding):
            path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

            assert (await polls("POST", path, data=b"garbage", headers={"Content-Encoding": encoding})).status == 415


async def test_body_streamed_without_end_returns_413(polls: Polls) -> None:
    async def endless() -> Any:
        for _ in range(10_000):
            yield b"x" * 1000
            await asyncio.sleep(0)

    path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"
    answer = await polls("POST", path, data=endless())

    assert answer.status == 413


async def test_malformed_query_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
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


async def test_concurrent_creations_are_all_stored(polls: Polls) -> None:
    created = await asyncio.gather(*(polls.call("POST", {**LUNCH, "title": f"Poll {n}"}) for n in range(50)))

    assert {answer.status for answer in created} == {200}
    assert len((await polls.call("GET")).json) == 50


async def test_unknown_endpoint_returns_404(polls: Polls, authority: Authority) -> None:
    polls.endpoint = "A" * 27

    answer = await polls.call("GET")

    assert answer.status == 404
    assert answer.json["type"].endswith("/unknown-endpoint")
