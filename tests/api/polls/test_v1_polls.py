"""`/v1/polls`: create, show, replace, patch and delete polls, with templates, preconditions and permissions."""

from itertools import product
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import LUNCH_OPTIONS, Authority, Polls

pytestmark = pytest.mark.shared_services

UNKNOWN_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
JIRA = {"workspace": "PLAT", "content": "PLAT-1"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


async def test_poll_is_created_shown_and_deleted(polls: Polls) -> None:
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


async def test_v1_and_contract_show_the_same_poll(polls: Polls) -> None:
    created = await polls.create_poll(description="Where to?", settings={"allowRevote": True})

    listed = (await polls.call("GET")).json

    assert listed == [{name: created[name] for name in ("id", "title", "description", "options", "settings")}]


async def test_put_of_shown_poll_returns_200(polls: Polls) -> None:
    poll = await polls.create_poll()
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
        "consequences": [],
    }


async def test_patch_changes_given_fields_and_null_restores_default(polls: Polls) -> None:
    poll = await polls.create_poll(description="Where to?", settings={"allowRevote": True, "allowComment": True})
    patch = {"title": "Dinner?", "description": None, "settings": {"allowRevote": None}}

    changed = await polls.v1("PATCH", f"/polls/{poll['id']}", patch, MERGE_PATCH)

    assert changed.status == 200
    assert (changed.json["title"], changed.json["description"]) == ("Dinner?", "")
    assert changed.json["options"] == poll["options"]
    assert changed.json["settings"] == {**poll["settings"], "allowRevote": False}


async def test_patch_with_null_title_and_unknown_setting_returns_422(polls: Polls) -> None:
    poll = await polls.create_poll()

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


async def test_create_poll_from_each_template_returns_201(polls: Polls, subtests: pytest.Subtests) -> None:
    for name, options, average in TEMPLATES:
        with subtests.test(name):
            made = await polls.v1("POST", "/polls", {"template": name, "location": JIRA})
            poll = made.json
            await polls.vote(poll["id"], "ada", poll["options"][-1]["id"])

            results = await polls.get_results(poll["id"])

            assert made.status == 201
            assert [option["title"] for option in poll["options"]] == options
            assert results["average"] == average


async def test_fields_of_body_replace_fields_of_template(polls: Polls) -> None:
    poll = await polls.create_poll(template="stars", title="How was it?", options=LUNCH_OPTIONS)

    assert (poll["title"], len(poll["options"])) == ("How was it?", 2)


async def test_list_of_templates_has_six_templates(polls: Polls) -> None:
    answer = await polls.v1("GET", "/templates")

    assert [(each["id"], each["scored"]) for each in answer.json["items"]] == [
        ("blank", False),
        ("yes-no", False),
        ("score-1-to-5", True),
        ("stars", True),
        ("emoji", True),
        ("hearts", True),
    ]


INVALID_POLLS: list[tuple[dict[str, Any], str]] = [
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
    ({"id": UNKNOWN_ID}, "/id"),
]


async def test_invalid_poll_returns_422_with_pointer(polls: Polls, subtests: pytest.Subtests) -> None:
    for fields, pointer in INVALID_POLLS:
        with subtests.test(pointer, fields=str(fields)[:60]):
            body = {"title": "Lunch?", "options": LUNCH_OPTIONS, "location": JIRA, **fields}

            answer = await polls.v1("POST", "/polls", body)

            assert answer.status == 422
            assert pointer in [error["pointer"] for error in answer.json["errors"]]
            assert answer.json["request_id"] == answer.headers["X-Request-ID"]


async def test_poll_with_many_violations_returns_422_with_20_errors(polls: Polls) -> None:
    options = [{"id": "", "title": ""}] * 100

    answer = await polls.v1("POST", "/polls", {"title": "Lunch?", "options": options, "location": JIRA})

    assert answer.status == 422
    assert len(answer.json["errors"]) == 20


async def test_poll_with_too_many_options_returns_422_without_errors_of_each(polls: Polls) -> None:
    options = [{"id": "", "title": ""}] * 1_500

    answer = await polls.v1("POST", "/polls", {"title": "Lunch?", "options": options, "location": JIRA})

    assert answer.status == 422
    (error,) = answer.json["errors"]
    assert error == {"detail": "a poll has 1 to 100 options, this one has 1500", "pointer": "/options"}


async def test_create_poll_without_template_title_and_options_returns_errors_for_both(polls: Polls) -> None:
    answer = await polls.v1("POST", "/polls", {"location": JIRA})

    assert [error["pointer"] for error in answer.json["errors"]] == ["/title", "/options"]


async def test_put_with_another_id_and_location_returns_422(polls: Polls) -> None:
    poll = await polls.create_poll()
    body = {"title": "x", "options": LUNCH_OPTIONS, "id": UNKNOWN_ID, "location": {**JIRA, "content": "PLAT-2"}}

    answer = await polls.v1("PUT", f"/polls/{poll['id']}", body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/id", "/location"]


async def test_body_of_another_media_type_returns_415(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in ["POST", "PUT", "PATCH"]:
        with subtests.test(method=method):
            poll = await polls.create_poll()
            path = "/polls" if method == "POST" else f"/polls/{poll['id']}"

            answer = await polls.v1(method, path, b"title=x", {"Content-Type": "application/x-www-form-urlencoded"})

            assert (answer.status, answer.json["type"]) == (415, "/docs/problems/unsupported-media-type")


async def test_unknown_or_malformed_poll_id_returns_404(polls: Polls, subtests: pytest.Subtests) -> None:
    for method, poll_id in product(
        ["GET", "PUT", "PATCH", "DELETE"], [UNKNOWN_ID, "1", "%00", "%FF", "..", "%2e%2e", "%F0%9F%98%80"]
    ):
        with subtests.test(method=method, poll_id=poll_id):
            body = {"title": "x", "options": LUNCH_OPTIONS} if method in ("PUT", "PATCH") else None

            answer = await polls.v1(method, f"/polls/{poll_id}", body)

            assert answer.status == 404


async def test_edit_of_malformed_poll_id_checks_body_and_query_before_id(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    body: dict[str, Any] = {"title": "x", "options": LUNCH_OPTIONS}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for method in ["PUT", "PATCH"]:
        with subtests.test(method=method):
            path = "/polls/not-an-id"

            answers = [
                await polls.v1(method, path, b"title=x", form),
                await polls.v1(method, path, b"{"),
                await polls.v1(method, path, {**body, "title": 7}),
                await polls.v1(method, path, body, dropVotes="x"),
                await polls.v1(method, path, body, {"If-Match": "1"}),
            ]

            assert [answer.status for answer in answers] == [415, 400, 422, 400, 404]


async def test_edit_without_changes_leaves_etag_and_time(polls: Polls) -> None:
    poll = await polls.create_poll()

    same = [
        await polls.v1("PATCH", f"/polls/{poll['id']}", {}),
        await polls.v1("PUT", f"/polls/{poll['id']}", poll),
    ]

    assert [(answer.status, answer.headers["ETag"]) for answer in same] == [(200, poll["etag"])] * 2
    assert same[1].json["updatedAt"] == poll["updatedAt"]


async def test_patch_of_status_returns_422_with_remedy(polls: Polls) -> None:
    poll = await polls.create_poll()

    refused = await polls.v1("PATCH", f"/polls/{poll['id']}", {"status": "closed"})

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/status")
    assert "closePollOnEndDate" in refused.json["errors"][0]["detail"]


async def test_patch_with_status_that_follows_from_settings_returns_200(polls: Polls) -> None:
    poll = await polls.create_poll()
    path, closing = f"/polls/{poll['id']}", {"endDate": "2026-01-01", "closePollOnEndDate": True}

    closed = await polls.v1("PATCH", path, {"status": "closed", "settings": closing})
    opened = await polls.v1("PATCH", path, {"status": "open", "settings": {"closePollOnEndDate": False}})

    assert [(answer.status, answer.json["status"]) for answer in (closed, opened)] == [(200, "closed"), (200, "open")]


class TestPreconditions:
    async def test_if_none_match_of_unchanged_poll_returns_304(self, polls: Polls) -> None:
        poll = await polls.create_poll()
        shown = await polls.v1("GET", f"/polls/{poll['id']}")

        again = await polls.v1("GET", f"/polls/{poll['id']}", headers={"If-None-Match": shown.headers["ETag"]})
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
        changed = await polls.v1("GET", f"/polls/{poll['id']}", headers={"If-None-Match": shown.headers["ETag"]})

        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", shown.headers["ETag"])
        assert changed.status == 200

    async def test_etag_changes_when_poll_closes(self, polls: Polls) -> None:
        poll = await polls.create_poll()
        before = await polls.v1("GET", f"/polls/{poll['id']}")
        closing = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
        closed = await polls.v1("PATCH", f"/polls/{poll['id']}", closing)

        again = await polls.v1("PUT", f"/polls/{poll['id']}", closed.json, {"If-Match": before.headers["ETag"]})

        assert closed.json["status"] == "closed"
        assert closed.headers["ETag"].endswith('-closed"')
        assert again.status == 412

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_change_with_old_etag_returns_412(self, polls: Polls, method: str) -> None:
        poll = await polls.create_poll()
        path = f"/polls/{poll['id']}"
        first = (await polls.v1("GET", path)).headers["ETag"]
        await polls.v1("PATCH", path, {"title": "Dinner?"})
        body = None if method == "DELETE" else {"title": "Tea?", "options": LUNCH_OPTIONS}

        refused = await polls.v1(method, path, body, {"If-Match": first})

        assert (refused.status, refused.json["type"]) == (412, "/docs/problems/poll-changed")
        assert (await polls.v1("GET", path)).json["title"] == "Dinner?"

    async def test_malformed_if_match_returns_400(self, polls: Polls) -> None:
        poll = await polls.create_poll()

        answer = await polls.v1("DELETE", f"/polls/{poll['id']}", headers={"If-Match": "1"})

        assert answer.status == 400


class TestPermissions:
    """A poll at a place where the token has no action is 404; an action that it lacks at another place is 403."""

    async def test_poll_at_place_without_any_action_returns_404(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        stranger = polls.with_token((await authority.issue("polls:*:OTHER", "polls:create:PLAT"))["token"])

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
    async def test_missing_scope_returns_403_and_names_scope(
        self, polls: Polls, authority: Authority, method: str, path: str, action: str
    ) -> None:
        poll = await polls.create_poll()
        others = ",".join({"read", "update", "vote"} - {action})
        holder = polls.with_token((await authority.issue(f"polls:{others}:PLAT"))["token"])
        body = None
        if method in ("PUT", "PATCH"):
            body = {"optionIds": ["y"]} if "votes" in path else {"title": "x", "options": LUNCH_OPTIONS}

        answer = await holder.v1(method, f"/polls/{poll['id']}{path}", body)

        assert (answer.status, answer.json["type"]) == (403, "/docs/problems/insufficient-scope")
        assert f'scope="polls:{action}:PLAT/PLAT-1"' in answer.headers["WWW-Authenticate"]

    async def test_create_poll_out_of_scope_returns_403(self, polls: Polls, authority: Authority) -> None:
        holder = polls.with_token((await authority.issue("polls:*:OTHER"))["token"])

        answer = await holder.v1("POST", "/polls", {"template": "stars", "location": JIRA})

        assert answer.status == 403
        assert "polls:create:PLAT/PLAT-1" in answer.json["detail"]

    async def test_poll_of_another_site_returns_404(
        self, polls: Polls, authority: Authority, database: ClonedDatabase
    ) -> None:
        poll = await polls.create_poll()
        await fetch(database.admin_url, "INSERT INTO token_authority.site VALUES ('site_b', 'B', $1, now())", "B" * 27)
        holder = polls.with_token((await authority.issue("polls:*:*", site="site_b"))["token"])

        shown, edited = [await holder.v1("GET", f"/polls/{poll['id']}{path}") for path in ("", "/results")]

        assert (shown.status, edited.status) == (404, 404)
        assert (await holder.vote(poll["id"], "ada", "y")).status == 404
        assert (await holder.v1("DELETE", f"/polls/{poll['id']}")).status == 404
        assert (await holder.v1("GET", "/polls")).json["items"] == []

    async def test_missing_or_invalid_token_returns_401(self, polls: Polls) -> None:
        without = await polls("GET", "/v1/polls")
        wrong = await polls.with_token("pgt_" + "0" * 38).v1("GET", "/polls")
        twice = await polls.v1("GET", "/polls", token=polls.token)

        assert (without.status, wrong.status) == (401, 401)
        assert (twice.status, twice.json["type"]) == (400, "/docs/problems/token-twice")

    async def test_token_in_query_returns_200(self, polls: Polls) -> None:
        answer = await polls("GET", f"/v1/polls?token={polls.token}&limit=1")

        assert answer.status == 200


async def test_id_in_capitals_in_path_body_and_batch_is_same_poll(polls: Polls) -> None:
    poll = await polls.create_poll()
    capitals = poll["id"].upper()
    body = {"title": "Dinner?", "options": LUNCH_OPTIONS, "id": capitals}

    shown = await polls.v1("GET", f"/polls/{capitals}")
    replaced = await polls.v1("PUT", f"/polls/{poll['id']}", body)
    patched = await polls.v1("PATCH", f"/polls/{capitals}", {"id": capitals, "title": "Tea?"})
    batch = await polls.v1(
        "POST",
        "/polls:batch",
        {"items": [{"op": "update", "id": capitals, "poll": body}, {"op": "delete", "id": capitals}]},
    )

    assert [answer.status for answer in (shown, replaced, patched)] == [200] * 3
    assert {answer.json["id"] for answer in (shown, replaced, patched)} == {poll["id"]}
    assert [(item["status"], item["id"]) for item in batch.json["items"]] == [(200, poll["id"]), (204, poll["id"])]
    assert batch.json["items"][0]["poll"]["id"] == poll["id"]


async def test_etag_with_suffix_of_a_compressing_proxy_in_if_match_returns_412_that_says_so(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    poll = await polls.create_poll()

    for suffix in ("-gzip", "-br", "--gzip", ";gzip"):
        with subtests.test(suffix=suffix):
            tag = f'{poll["etag"][:-1]}{suffix}"'

            refused = await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Tea?"}, {"If-Match": tag})

            assert (refused.status, "'etag'" in refused.json["detail"]) == (412, True)


async def test_weak_etag_in_if_match_returns_412_that_says_so_and_304_in_if_none_match(polls: Polls) -> None:
    poll = await polls.create_poll()
    path, weak = f"/polls/{poll['id']}", f"W/{poll['etag']}"

    refused = [
        await polls.v1("PATCH", path, {"title": "Tea?"}, {"If-Match": weak}),
        await polls.v1("DELETE", path, headers={"If-Match": weak}),
    ]
    item = {"op": "delete", "id": poll["id"], "ifMatch": weak}
    batch = await polls.v1("POST", "/polls:batch", {"items": [item]})
    unchanged = await polls.v1("GET", path, headers={"If-None-Match": weak})
    edited = await polls.v1("PATCH", path, {"title": "Tea?"}, {"If-Match": poll["etag"]})

    for problem in (*(answer.json for answer in refused), batch.json["items"][0]["problem"]):
        assert problem["status"] == 412
        assert "W/" in problem["detail"]
        assert "'etag'" in problem["detail"]
    assert unchanged.status == 304
    assert edited.status == 200


async def test_updated_since_takes_day_in_zone_and_time_without_zone(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    for since, found in {
        "2026-01-01": True,
        "2026-01-01+09:00": True,
        "2026-01-01T00:00": True,
        "2026-01-01T00:00:00.0-0500": True,
        "9999-12-31": False,
    }.items():
        with subtests.test(since=since):
            page = await polls.v1("GET", "/polls", updatedSince=since)

            assert page.status == 200
            assert [each["id"] for each in page.json["items"]] == ([poll["id"]] if found else [])


async def test_offset_with_plain_plus_sign_in_query_returns_400_with_its_remedy(polls: Polls) -> None:
    answer = await polls.v1("GET", "/polls?updatedSince=2026-01-01T00:00:00+09:00")

    assert answer.status == 400
    assert "%2B" in answer.json["errors"][0]["detail"]
