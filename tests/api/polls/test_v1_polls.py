"""`/v1/polls`, call by call: create, show, replace, change, delete; from templates and under conditions."""

from itertools import product
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import LUNCH_OPTIONS, Authority, Polls

pytestmark = pytest.mark.shared_services

NOBODYS_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
JIRA = {"workspace": "PLAT", "content": "PLAT-1"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


async def test_a_poll_is_created_shown_and_deleted(polls: Polls) -> None:
    created = await polls.v1("POST", "/polls", {"title": "Lunch?", "options": LUNCH_OPTIONS, "location": JIRA})
    where = created.headers["Location"].removeprefix("/v1")
    shown = await polls.v1("GET", where)
    deleted = await polls.v1("DELETE", where)
    gone = await polls.v1("GET", where)

    poll = created.json
    assert created.status == 201
    assert where == f"/polls/{poll['id']}"
    assert poll["options"] == [{"id": "y", "title": "Yes", "order": 0}, {"id": "n", "title": "No", "order": 1}]
    assert poll["location"] == {**JIRA, "container": ""}
    assert poll["status"] == "open"
    assert (shown.status, shown.json, shown.headers["ETag"]) == (200, poll, created.headers["ETag"])
    assert (deleted.status, deleted.body) == (204, b"")
    assert (gone.status, gone.json["type"]) == (404, "/docs/problems/unknown-poll")


async def test_both_faces_show_the_same_poll(polls: Polls) -> None:
    created = await polls.make(description="Where to?", settings={"allowRevote": True})

    listed = (await polls.call("GET")).json

    assert listed == [{name: created[name] for name in ("id", "title", "description", "options", "settings")}]


async def test_what_is_shown_can_be_sent_back(polls: Polls) -> None:
    poll = await polls.make()
    shown = (await polls.v1("GET", f"/polls/{poll['id']}", expand="results")).json

    replaced = await polls.v1("PUT", f"/polls/{poll['id']}", {**shown, "title": "Dinner?"})

    assert replaced.status == 200
    assert replaced.json["title"] == "Dinner?"
    assert replaced.json["createdAt"] == poll["createdAt"]
    assert replaced.json["updatedAt"] > poll["updatedAt"]
    assert replaced.json["effect"] == {
        "droppedOptions": [],
        "droppedVotes": 0,
        "droppedBallots": 0,
        "anonymizedBallots": 0,
    }


async def test_a_patch_changes_what_it_names_and_null_brings_a_default_back(polls: Polls) -> None:
    poll = await polls.make(description="Where to?", settings={"allowRevote": True, "allowComment": True})
    patch = {"title": "Dinner?", "description": None, "settings": {"allowRevote": None}}

    changed = await polls.v1("PATCH", f"/polls/{poll['id']}", patch, MERGE_PATCH)

    assert changed.status == 200
    assert (changed.json["title"], changed.json["description"]) == ("Dinner?", "")
    assert changed.json["options"] == poll["options"]
    assert changed.json["settings"] == {**poll["settings"], "allowRevote": False}


async def test_a_patch_that_leaves_no_poll_is_refused(polls: Polls) -> None:
    poll = await polls.make()

    refused = await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": None, "settings": {"x": 1}}, MERGE_PATCH)

    assert refused.status == 422
    assert {error["pointer"] for error in refused.json["errors"]} == {"/title", "/settings/x"}


TEMPLATES = [
    ("blank", ["Option 1", "Option 2"], None),
    ("yes-no", ["Yes", "No"], None),
    ("score-1-to-5", ["1", "2", "3", "4", "5"], 5.0),
    ("stars", ["⭐", "⭐⭐", "⭐⭐⭐", "⭐⭐⭐⭐", "⭐⭐⭐⭐⭐"], 5.0),
    ("emoji", ["😠", "🙁", "😐", "🙂", "😀"], 5.0),
    ("hearts", ["❤️", "❤️❤️", "❤️❤️❤️", "❤️❤️❤️❤️", "❤️❤️❤️❤️❤️"], 5.0),
]


async def test_a_poll_is_made_from_each_template(polls: Polls, subtests: pytest.Subtests) -> None:
    for name, options, average in TEMPLATES:
        with subtests.test(name):
            made = await polls.v1("POST", "/polls", {"template": name, "location": JIRA})
            poll = made.json
            await polls.vote(poll["id"], "ada", poll["options"][-1]["id"])

            results = await polls.results(poll["id"])

            assert made.status == 201
            assert [option["title"] for option in poll["options"]] == options
            assert results["average"] == average


async def test_a_body_says_what_it_wants_otherwise_than_its_template(polls: Polls) -> None:
    poll = await polls.make(template="stars", title="How was it?", options=LUNCH_OPTIONS)

    assert (poll["title"], len(poll["options"])) == ("How was it?", 2)


async def test_the_templates_are_listed(polls: Polls) -> None:
    answer = await polls.v1("GET", "/templates")

    assert [(each["id"], each["scored"]) for each in answer.json["items"]] == [
        ("blank", False),
        ("yes-no", False),
        ("score-1-to-5", True),
        ("stars", True),
        ("emoji", True),
        ("hearts", True),
    ]


NO_POLLS: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "/title"),
    ({"title": "x" * 256}, "/title"),
    ({"titel": "x"}, "/titel"),
    ({"description": "x" * 10_001}, "/description"),
    ({"options": []}, "/options"),
    ({"options": [{"id": str(n), "title": "x"} for n in range(101)]}, "/options"),
    ({"options": [{"id": "a", "title": "x"}, {"id": "a", "title": "y"}]}, "/options/0/id"),
    ({"options": [{"id": "", "title": "x"}]}, "/options/0/id"),
    ({"options": [{"id": "a", "title": ""}]}, "/options/0/title"),
    ({"options": [{"id": "a", "title": "x", "colour": "red"}]}, "/options/0/colour"),
    ({"settings": {"allowVote": True}}, "/settings/allowVote"),
    ({"settings": {"resultsVisibility": "sometimes"}}, "/settings/resultsVisibility"),
    ({"settings": {"resultsVisibility": "afterClose"}}, "/settings/resultsVisibility"),
    ({"settings": {"closePollOnEndDate": True}}, "/settings/endDate"),
    ({"settings": {"endDate": "tomorrow"}}, "/settings/endDate"),
    ({"settings": {"endDate": f"2026-12-24T18:00:00.{'0' * 60_000}Z"}}, "/settings/endDate"),
    ({"template": "moons"}, "/template"),
    ({"location": {"workspace": "", "content": "x"}}, "/location/workspace"),
    ({"location": {"workspace": "PLAT"}}, "/location/content"),
    ({"id": NOBODYS_ID}, "/id"),
]


async def test_what_is_no_poll_is_refused_with_where_and_why(polls: Polls, subtests: pytest.Subtests) -> None:
    for fields, pointer in NO_POLLS:
        with subtests.test(pointer, fields=str(fields)[:60]):
            body = {"title": "Lunch?", "options": LUNCH_OPTIONS, "location": JIRA, **fields}

            answer = await polls.v1("POST", "/polls", body)

            assert answer.status == 422
            assert pointer in [error["pointer"] for error in answer.json["errors"]]
            assert answer.json["request_id"] == answer.headers["X-Request-ID"]


async def test_of_very_many_faults_some_are_told(polls: Polls) -> None:
    options = [{"id": "", "title": ""}] * 2_000

    answer = await polls.v1("POST", "/polls", {"title": "Lunch?", "options": options, "location": JIRA})

    assert answer.status == 422
    assert len(answer.json["errors"]) == 20


async def test_without_a_template_title_and_options_are_required(polls: Polls) -> None:
    answer = await polls.v1("POST", "/polls", {"location": JIRA})

    assert [error["pointer"] for error in answer.json["errors"]] == ["/title", "/options"]


async def test_a_poll_does_not_move_and_keeps_its_id(polls: Polls) -> None:
    poll = await polls.make()
    body = {"title": "x", "options": LUNCH_OPTIONS, "id": NOBODYS_ID, "location": {**JIRA, "content": "PLAT-2"}}

    answer = await polls.v1("PUT", f"/polls/{poll['id']}", body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/id", "/location"]


async def test_a_body_of_another_media_type_is_415(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["POST", "PUT", "PATCH"]:
        with subtests.test(method=method):
            poll = await polls.make()
            path = "/polls" if method == "POST" else f"/polls/{poll['id']}"

            answer = await polls.v1(method, path, b"title=x", {"Content-Type": "application/x-www-form-urlencoded"})

            assert (answer.status, answer.json["type"]) == (415, "/docs/problems/unsupported-media-type")


async def test_an_unknown_poll_is_404(polls: Polls, subtests: pytest.Subtests) -> None:
    for method, poll_id in product(
        ["GET", "PUT", "PATCH", "DELETE"], [NOBODYS_ID, "1", "%00", "%FF", "..", "%2e%2e", "%F0%9F%98%80"]
    ):
        with subtests.test(method=method, poll_id=poll_id):
            body = {"title": "x", "options": LUNCH_OPTIONS} if method in ("PUT", "PATCH") else None

            answer = await polls.v1(method, f"/polls/{poll_id}", body)

            assert answer.status == 404


async def test_what_changes_nothing_is_no_edit(polls: Polls) -> None:
    poll = await polls.make()

    same = [
        await polls.v1("PATCH", f"/polls/{poll['id']}", {}),
        await polls.v1("PUT", f"/polls/{poll['id']}", poll),
    ]

    assert [(answer.status, answer.headers["ETag"]) for answer in same] == [(200, poll["etag"])] * 2
    assert same[1].json["updatedAt"] == poll["updatedAt"]


async def test_a_status_cannot_be_written_and_says_what_can(polls: Polls) -> None:
    poll = await polls.make()

    refused = await polls.v1("PATCH", f"/polls/{poll['id']}", {"status": "closed"})

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/status")
    assert "closePollOnEndDate" in refused.json["errors"][0]["detail"]


async def test_a_status_may_be_the_one_that_the_settings_bring_about(polls: Polls) -> None:
    poll = await polls.make()
    path, closing = f"/polls/{poll['id']}", {"endDate": "2026-01-01", "closePollOnEndDate": True}

    closed = await polls.v1("PATCH", path, {"status": "closed", "settings": closing})
    opened = await polls.v1("PATCH", path, {"status": "open", "settings": {"closePollOnEndDate": False}})

    assert [(answer.status, answer.json["status"]) for answer in (closed, opened)] == [(200, "closed"), (200, "open")]


class TestConditions:
    async def test_a_poll_that_is_known_is_not_sent_again(self, polls: Polls) -> None:
        poll = await polls.make()
        shown = await polls.v1("GET", f"/polls/{poll['id']}")

        again = await polls.v1("GET", f"/polls/{poll['id']}", headers={"If-None-Match": shown.headers["ETag"]})
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
        changed = await polls.v1("GET", f"/polls/{poll['id']}", headers={"If-None-Match": shown.headers["ETag"]})

        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", shown.headers["ETag"])
        assert changed.status == 200

    async def test_a_poll_that_closes_gets_another_etag(self, polls: Polls) -> None:
        poll = await polls.make()
        before = await polls.v1("GET", f"/polls/{poll['id']}")
        closing = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
        closed = await polls.v1("PATCH", f"/polls/{poll['id']}", closing)

        again = await polls.v1("PUT", f"/polls/{poll['id']}", closed.json, {"If-Match": before.headers["ETag"]})

        assert closed.json["status"] == "closed"
        assert closed.headers["ETag"].endswith('-closed"')
        assert again.status == 412

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_what_has_changed_meanwhile_is_left_alone(self, polls: Polls, method: str) -> None:
        poll = await polls.make()
        path = f"/polls/{poll['id']}"
        first = (await polls.v1("GET", path)).headers["ETag"]
        await polls.v1("PATCH", path, {"title": "Dinner?"})
        body = None if method == "DELETE" else {"title": "Tea?", "options": LUNCH_OPTIONS}

        refused = await polls.v1(method, path, body, {"If-Match": first})

        assert (refused.status, refused.json["type"]) == (412, "/docs/problems/poll-changed")
        assert (await polls.v1("GET", path)).json["title"] == "Dinner?"

    async def test_a_condition_that_cannot_be_read_is_400(self, polls: Polls) -> None:
        poll = await polls.make()

        answer = await polls.v1("DELETE", f"/polls/{poll['id']}", headers={"If-Match": "1"})

        assert answer.status == 400


class TestReach:
    """What the token may not see does not exist; what it sees and may not do is forbidden."""

    async def test_a_poll_out_of_reach_does_not_exist(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.make()
        stranger = polls.holding((await authority.issue("polls:*:OTHER", "polls:create:PLAT"))["token"])

        answers = [
            await stranger.v1("GET", f"/polls/{poll['id']}"),
            await stranger.v1("PATCH", f"/polls/{poll['id']}", {"title": "x"}),
            await stranger.v1("DELETE", f"/polls/{poll['id']}"),
            await stranger.v1("GET", f"/polls/{poll['id']}/results"),
            await stranger.v1("GET", f"/polls/{poll['id']}/votes"),
            await stranger.vote(poll["id"], "ada", "y"),
            await stranger.v1("GET", f"/polls/{poll['id']}/votes/ada"),
        ]

        assert [answer.status for answer in answers] == [404] * 7
        assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 200

    @pytest.mark.parametrize(
        ("method", "path", "action"),
        [
            ("GET", "", "read"),
            ("PUT", "", "update"),
            ("PATCH", "", "update"),
            ("DELETE", "", "delete"),
            ("GET", "/results", "read"),
            ("GET", "/votes", "results"),
            ("PUT", "/votes/ada", "vote"),
            ("GET", "/votes/ada", "vote"),
            ("DELETE", "/votes/ada", "vote"),
        ],
    )
    async def test_what_a_scope_does_not_allow_says_which_would(
        self, polls: Polls, authority: Authority, method: str, path: str, action: str
    ) -> None:
        poll = await polls.make()
        others = ",".join({"read", "update", "vote"} - {action})
        holder = polls.holding((await authority.issue(f"polls:{others}:PLAT"))["token"])
        body = None
        if method in ("PUT", "PATCH"):
            body = {"optionIds": ["y"]} if "votes" in path else {"title": "x", "options": LUNCH_OPTIONS}

        answer = await holder.v1(method, f"/polls/{poll['id']}{path}", body)

        assert (answer.status, answer.json["type"]) == (403, "/docs/problems/insufficient-scope")
        assert f'scope="polls:{action}:PLAT/PLAT-1"' in answer.headers["WWW-Authenticate"]

    async def test_creating_elsewhere_is_forbidden(self, polls: Polls, authority: Authority) -> None:
        holder = polls.holding((await authority.issue("polls:*:OTHER"))["token"])

        answer = await holder.v1("POST", "/polls", {"template": "stars", "location": JIRA})

        assert answer.status == 403
        assert "polls:create:PLAT/PLAT-1" in answer.json["detail"]

    async def test_a_poll_of_another_site_does_not_exist(
        self, polls: Polls, authority: Authority, database: ClonedDatabase
    ) -> None:
        poll = await polls.make()
        await fetch(database.admin_url, "INSERT INTO token_authority.site VALUES ('site_b', 'B', $1, now())", "B" * 27)
        holder = polls.holding((await authority.issue("polls:*:*", site="site_b"))["token"])

        shown, edited = [await holder.v1("GET", f"/polls/{poll['id']}{path}") for path in ("", "/results")]

        assert (shown.status, edited.status) == (404, 404)
        assert (await holder.vote(poll["id"], "ada", "y")).status == 404
        assert (await holder.v1("DELETE", f"/polls/{poll['id']}")).status == 404
        assert (await holder.v1("GET", "/polls")).json["items"] == []

    async def test_no_token_and_one_that_does_not_work_are_401(self, polls: Polls) -> None:
        without = await polls("GET", "/v1/polls")
        wrong = await polls.holding("pgt_" + "0" * 38).v1("GET", "/polls")
        twice = await polls.v1("GET", "/polls", token=polls.token)

        assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (wrong.status, wrong.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert (twice.status, twice.json["type"]) == (400, "/docs/problems/token-twice")

    async def test_the_token_may_stand_in_the_query(self, polls: Polls) -> None:
        answer = await polls("GET", f"/v1/polls?token={polls.token}&limit=1")

        assert answer.status == 200
