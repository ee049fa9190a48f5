"""Results of a poll: figures, visibility, and the CSV table."""

import codecs
import csv
import io
from typing import Any

import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

CLOSING = {"endDate": "2999-12-31", "closePollOnEndDate": True}
CLOSED = {"endDate": "2026-01-01", "closePollOnEndDate": True}


async def test_results_of_manual_example_are_reproduced(polls: Polls) -> None:
    poll = await polls.create_poll(template="score-1-to-5")
    for option, votes in zip("12345", (8, 12, 11, 15, 10), strict=True):
        for number in range(votes):
            assert (await polls.vote(poll["id"], f"{option}-{number}", option)).status == 201

    results = await polls.get_results(poll["id"])

    assert (results["participants"], results["votes"], results["average"]) == (56, 56, 3.1)
    assert results["options"][3] == {
        "id": "4",
        "title": "4",
        "order": 3,
        "votes": 15,
        "percentage": 26.8,
        "participantPercentage": 26.8,
        "rank": 1,
    }
    assert round(sum(option["percentage"] for option in results["options"]), 1) == 100.0
    assert {name: results[name] for name in ("status", "final", "visible", "withheldReason")} == {
        "status": "open",
        "final": False,
        "visible": True,
        "withheldReason": None,
    }


async def holder_of(polls: Polls, authority: Authority, actions: str = "read") -> Polls:
    """Return a caller whose token has only these actions."""
    return polls.with_token((await authority.issue(f"polls:{actions}:PLAT"))["token"])


async def poll_with_vote(polls: Polls, **settings: Any) -> str:
    """Create a poll with these settings in which ada has voted, and return its id."""
    poll_id = str((await polls.create_poll())["id"])
    await polls.vote(poll_id, "ada", "y")
    assert (await polls.v1("PATCH", f"/polls/{poll_id}", {"settings": settings})).status == 200
    return poll_id


def visible_part(results: Any) -> tuple[Any, ...]:
    """Return the visibility, the reason, the votes, and the votes and percentage of the first option."""
    first = results["options"][0]
    return results["visible"], results["withheldReason"], results["votes"], first["votes"], first["percentage"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"resultsVisibility": "alwaysPublic"}, (True, None, 1, 1, 100.0)),
        ({"resultsVisibility": "afterVote"}, (False, "afterVote", None, None, None)),
        ({"resultsVisibility": "afterClose", **CLOSING}, (False, "afterClose", None, None, None)),
        ({"resultsVisibility": "afterClose", **CLOSED}, (True, None, 1, 1, 100.0)),
        ({"resultsVisibility": "never"}, (False, "never", None, None, None)),
        ({"resultsVisibility": "never", **CLOSED}, (False, "never", None, None, None)),
        ({"hideAbsoluteNumbers": True}, (True, "hideAbsoluteNumbers", None, None, 100.0)),
    ],
)
async def test_reader_sees_results_as_settings_allow(
    polls: Polls, authority: Authority, settings: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    poll_id = await poll_with_vote(polls, **settings)
    reader = await holder_of(polls, authority)

    assert visible_part(await reader.get_results(poll_id)) == expected
    assert visible_part((await reader.v1("GET", f"/polls/{poll_id}", expand="results")).json["results"]) == expected
    assert visible_part((await reader.v1("GET", "/polls", expand="results")).json["items"][0]["results"]) == expected
    assert visible_part((await reader.call("GET", expand="results")).json[0]["results"]) == expected
    assert visible_part(await polls.get_results(poll_id)) == (True, None, 1, 1, 100.0)


async def test_token_with_results_scope_alone_sees_all_results(polls: Polls, authority: Authority) -> None:
    poll_id = await poll_with_vote(polls, resultsVisibility="never")

    assert (await (await holder_of(polls, authority, "results")).get_results(poll_id))["votes"] == 1


async def test_participant_who_has_voted_sees_results(polls: Polls, authority: Authority) -> None:
    poll_id = await poll_with_vote(polls, resultsVisibility="afterVote")
    voting = await holder_of(polls, authority, "read,vote")

    assert (await voting.get_results(poll_id))["visible"] is False
    assert (await voting.get_results(poll_id, participant="bob"))["visible"] is False
    assert (await voting.get_results(poll_id, participant="ada"))["votes"] == 1


async def test_results_for_participant_without_vote_scope_returns_403(polls: Polls, authority: Authority) -> None:
    poll_id = await poll_with_vote(polls, resultsVisibility="afterVote")
    reader = await holder_of(polls, authority)

    answer = await reader.v1("GET", f"/polls/{poll_id}/results", participant="ada")

    assert answer.status == 403
    assert "polls:vote:" in answer.json["detail"]


async def test_results_as_csv_return_a_table(polls: Polls) -> None:
    poll = await polls.create_poll(options=[{"id": "a", "title": "=1+1"}, {"id": "b", "title": 'Tea, "black"'}])
    await polls.vote(poll["id"], "ada", "a")

    answer = await polls.v1("GET", f"/polls/{poll['id']}/results", headers={"Accept": "text/csv"})

    header, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert header == ["option", "title", "votes", "percentage", "participant percentage", "rank"]
    assert rows == [["a", "'=1+1", "1", "100.0", "100.0", "1"], ["b", 'Tea, "black"', "0", "0.0", "0.0", "2"]]


async def test_withheld_results_are_empty_in_csv(polls: Polls, authority: Authority) -> None:
    poll_id = await poll_with_vote(polls, resultsVisibility="never")
    reader = await holder_of(polls, authority)

    answer = await reader.v1("GET", f"/polls/{poll_id}/results", headers={"Accept": "text/csv"})

    assert list(csv.reader(io.StringIO(answer.body.decode(), newline="")))[1] == ["y", "Yes", "", "", "", ""]


async def test_results_with_format_csv_and_bom_are_a_file_for_excel(polls: Polls) -> None:
    poll = await polls.create_poll(options=[{"id": "a", "title": "Grüße ⭐"}])
    path = f"/polls/{poll['id']}/results"

    plain = await polls.v1("GET", path, format="csv")
    excel = await polls.v1("GET", path, format="csv", bom="true")
    accepted = await polls.v1("GET", path, headers={"Accept": "text/csv"}, bom="true")
    as_json = await polls.v1("GET", path, headers={"Accept": "text/csv"}, format="json")

    assert excel.body == accepted.body == codecs.BOM_UTF8 + plain.body
    assert "Grüße ⭐" in plain.body.decode()
    for table in (plain, excel):
        assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert table.headers["Content-Disposition"] == f'attachment; filename="results-{poll["id"]}.csv"'
    assert as_json.json["options"][0]["title"] == "Grüße ⭐"


async def test_byte_order_mark_without_csv_or_unknown_format_returns_400(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    path = f"/polls/{(await polls.create_poll())['id']}/results"
    for query, parameter in {"bom=true": "bom", "bom=true&format=json": "bom", "format=x": "format"}.items():
        with subtests.test(query):
            answer = await polls.v1("GET", f"{path}?{query}")

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, parameter)


async def test_results_as_participant_in_nfd_or_with_outer_blank(polls: Polls, authority: Authority) -> None:
    poll_id = str((await polls.create_poll(settings={"resultsVisibility": "afterVote"}))["id"])
    await polls.vote(poll_id, "jürgen", "y")
    reader = await holder_of(polls, authority, "read,vote")

    seen = await reader.v1("GET", f"/polls/{poll_id}/results", participant="ju\u0308rgen")
    refused = await reader.v1("GET", f"/polls/{poll_id}/results", participant="jürgen ")

    assert (seen.status, seen.json["visible"]) == (200, True)
    assert (refused.status, refused.json["errors"][0]["parameter"]) == (400, "participant")
    assert "blank" in refused.json["errors"][0]["detail"]
