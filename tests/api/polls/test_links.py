"""Voting links are created, listed and revoked under `/v1`; their secrets are shown once."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from services.polls.operations import links as operations
from services.polls.storage import polls as polls_storage
from services.polls.storage.links import delete_ended_links
from shared.contract.token import VOTING_LINK, digest, is_well_formed
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority, Polls

pytestmark = pytest.mark.shared_services

ADA = "ada.lovelace@example.org"
NAME = "Ada, Countess of Lovelace"


async def create_link(polls: Polls, poll_id: str, **fields: Any) -> Answer:
    """Ask for a link."""
    return await polls.v1("POST", f"/polls/{poll_id}/links", fields)


async def list_links(polls: Polls, poll_id: str, **query: Any) -> list[Any]:
    """Return the links of a poll."""
    return [item async for page in polls.list_pages(f"/polls/{poll_id}/links", **query) for item in page["items"]]


def secret_of(link: Any) -> str:
    """Return the secret in the address of a new link."""
    return str(link["url"].rpartition("/p/")[2])


async def test_create_shared_link_returns_201_with_its_address(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll()

    created = await create_link(polls, poll["id"], kind="shared", label="Team page", maxParticipants=20)
    shown = await polls.v1("GET", created.headers["Location"].removeprefix("/v1"))
    stored = await fetch(database.admin_url, "SELECT secret_hash, link::text AS row FROM polls.link")

    assert created.status == 201
    secret = secret_of(created.json)
    assert is_well_formed(secret, VOTING_LINK)
    assert {**created.json, "id": "…", "url": "…", "createdAt": "…", "createdBy": "…", "hint": "…"} == {
        "id": "…",
        "kind": "shared",
        "status": "active",
        "hint": "…",
        "participant": None,
        "name": None,
        "label": "Team page",
        "maxParticipants": 20,
        "maxPerAddress": 100,
        "participants": 0,
        "expiresAt": None,
        "createdAt": "…",
        "createdBy": "…",
        "revokedAt": None,
        "url": "…",
    }
    assert (shown.status, shown.json) == (200, {k: v for k, v in created.json.items() if k != "url"})
    assert stored[0]["secret_hash"] == digest(secret)
    assert secret not in stored[0]["row"]


async def test_links_are_listed_without_addresses_and_filtered(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    shared = (await create_link(polls, poll["id"], kind="shared")).json
    ada = (await create_link(polls, poll["id"], kind="personal", participant=ADA, name=NAME)).json
    bob = (await create_link(polls, poll["id"], kind="personal", participant="bob")).json
    await polls.v1("DELETE", f"/polls/{poll['id']}/links/{bob['id']}")

    everything = await list_links(polls, poll["id"], limit=1)

    assert [each["id"] for each in everything] == [shared["id"], ada["id"], bob["id"]]
    assert "pgl_" + secret_of(ada)[4:] not in str(everything)
    assert (everything[1]["participant"], everything[1]["name"]) == (ADA, NAME)
    for query, expected in (
        ({"kind": "shared"}, [shared]),
        ({"status": "active"}, [shared, ada]),
        ({"status": "revoked"}, [bob]),
        ({"participant": ADA}, [ada]),
        ({"participant": "bob", "status": "active"}, []),
        ({"createdBy": shared["createdBy"]}, [shared, ada, bob]),
        ({"createdBy": "tok_other"}, []),
    ):
        found = await list_links(polls, poll["id"], **query)
        assert [each["id"] for each in found] == [each["id"] for each in expected], query


async def test_personal_link_of_poll_without_names_stores_no_participant(
    polls: Polls, database: ClonedDatabase
) -> None:
    poll = await polls.create_poll()

    created = await create_link(polls, poll["id"], kind="personal", participant=ADA, name=NAME)
    (listed,) = await list_links(polls, poll["id"], participant=ADA)
    (row,) = await fetch(database.admin_url, "SELECT link::text AS row FROM polls.link")

    assert (created.json["participant"], created.json["name"]) == (ADA, NAME)
    assert (listed["id"], listed["participant"], listed["name"]) == (created.json["id"], None, None)
    assert listed["participants"] is None
    for text in (ADA, NAME, ADA.encode().hex(), NAME.encode().hex()):
        assert text not in row["row"]


async def test_poll_that_stops_keeping_names_erases_them_from_links(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    await create_link(polls, poll["id"], kind="personal", participant=ADA, name=NAME)

    edited = await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"saveParticipantNames": False}})
    (row,) = await fetch(database.admin_url, "SELECT link::text AS row FROM polls.link")

    assert edited.status == 200
    assert ADA not in row["row"]
    assert NAME not in row["row"]
    assert len(await list_links(polls, poll["id"], participant=ADA)) == 1


async def test_batch_creates_a_thousand_personal_links(polls: Polls) -> None:
    poll = await polls.create_poll()
    people = [{"participant": f"p{number}", "name": f"Person {number}"} for number in range(1000)]

    created = await polls.v1(
        "POST", f"/polls/{poll['id']}/links:batch", {"participants": people, "expiresAt": "2999-01-01"}
    )

    assert created.status == 201
    items = created.json["items"]
    assert [(each["participant"], each["name"]) for each in items] == [(p["participant"], p["name"]) for p in people]
    assert len({secret_of(each) for each in items}) == 1000
    assert {each["expiresAt"] for each in items} == {"2999-01-01T23:59:59.999999Z"}
    assert len(await list_links(polls, poll["id"], limit=100)) == 1000


async def test_batch_as_csv_is_a_table_for_a_mail_merge(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    body = {"participants": [{"participant": "ada", "name": "=1+1"}, {"participant": "bob"}]}
    cases: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"format": "csv", "bom": "true"}, {}),
        ({}, {"Accept": "text/csv"}),
    ]
    for query, headers in cases:
        with subtests.test(**query):
            created = await polls.v1("POST", f"/polls/{poll['id']}/links:batch", body, headers, **query)

            assert (created.status, created.headers["Content-Type"]) == (201, "text/csv; charset=utf-8")
            assert created.body.startswith(b"\xef\xbb\xbf") == ("bom" in query)
            rows = list(csv.DictReader(io.StringIO(created.body.decode("utf-8-sig"))))
            assert [(row["participant"], row["name"], row["expires at"]) for row in rows] == [
                ("ada", "'=1+1", ""),
                ("bob", "", ""),
            ]
            assert all(is_well_formed(secret_of(row), VOTING_LINK) for row in rows)


async def test_invalid_link_returns_422_which_names_each_field(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    for body, pointers in (
        ({"kind": "personal"}, ["/participant"]),
        ({"kind": "personal", "participant": " ada"}, ["/participant"]),
        ({"kind": "personal", "participant": "", "name": ""}, ["/name", "/participant"]),
        ({"kind": "personal", "participant": "ada", "label": "x", "maxPerAddress": 1}, ["/label", "/maxPerAddress"]),
        ({"kind": "shared", "participant": "ada", "name": "Ada"}, ["/name", "/participant"]),
        ({"kind": "shared", "maxParticipants": 0, "maxPerAddress": -1}, ["/maxParticipants", "/maxPerAddress"]),
        ({"kind": "shared", "label": "\u200b"}, ["/label"]),
        ({"kind": "shared", "expiresAt": "2020-01-01"}, ["/expiresAt"]),
        ({"kind": "shared", "expiresAt": "tomorrow"}, ["/expiresAt"]),
        ({"kind": "group"}, ["/kind"]),
        ({"kind": "shared", "colour": "red"}, ["/colour"]),
    ):
        with subtests.test(body=body):
            refused = await create_link(polls, poll["id"], **body)

            assert refused.status == 422, refused.body
            assert sorted(error["pointer"] for error in refused.json["errors"]) == pointers
    assert await list_links(polls, poll["id"]) == []


async def test_invalid_batch_creates_no_link(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    for participants, pointer in (
        ([], "/participants"),
        ([{"participant": str(number)} for number in range(1001)], "/participants"),
        ([{"participant": "ada"}, {"participant": "ada"}], "/participants/1/participant"),
        ([{"participant": "ada"}, {"participant": "b\tb"}], "/participants/1/participant"),
        ([{"participant": "ada", "name": " "}], "/participants/0/name"),
    ):
        with subtests.test(pointer=pointer):
            refused = await polls.v1("POST", f"/polls/{poll['id']}/links:batch", {"participants": participants})

            assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)
    assert await list_links(polls, poll["id"]) == []


async def test_links_need_the_action_vote(polls: Polls, authority: Authority, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll()
    link = (await create_link(polls, poll["id"], kind="shared")).json
    path = f"/polls/{poll['id']}/links"
    body = {"kind": "shared"}
    for scope, status in (("polls:read,update,delete,results:*", 403), ("polls:vote:OTHER", 404)):
        holder = polls.with_token((await authority.issue(scope))["token"])
        for method, url, sent in (
            ("GET", path, None),
            ("POST", path, body),
            ("POST", f"{path}:batch", {"participants": [{"participant": "ada"}]}),
            ("DELETE", path, None),
            ("GET", f"{path}/{link['id']}", None),
            ("DELETE", f"{path}/{link['id']}", None),
        ):
            with subtests.test(scope=scope, method=method, path=url):
                assert (await holder.v1(method, url, sent)).status == status
    assert [each["status"] for each in await list_links(polls, poll["id"])] == ["active"]


async def test_revoke_link_returns_204_also_the_second_time(polls: Polls) -> None:
    poll, other = await polls.create_poll(), await polls.create_poll()
    link = (await create_link(polls, poll["id"], kind="shared")).json
    path = f"/polls/{poll['id']}/links/{link['id']}"

    elsewhere = await polls.v1("DELETE", f"/polls/{other['id']}/links/{link['id']}")
    statuses = [(await polls.v1("DELETE", path)).status for _ in range(2)]
    shown = (await polls.v1("GET", path)).json

    assert elsewhere.status == 404
    assert statuses == [204, 204]
    assert shown["status"] == "revoked"
    assert shown["revokedAt"] is not None


async def test_revoke_links_returns_how_many_were_active(polls: Polls) -> None:
    poll = await polls.create_poll()
    await create_link(polls, poll["id"], kind="shared")
    for participant in ("ada", "bob", "cleo"):
        await create_link(polls, poll["id"], kind="personal", participant=participant)
    path = f"/polls/{poll['id']}/links"

    queries = ("?participant=ada", "?kind=personal", "?createdBy=tok_other", "", "")
    revoked = [(await polls.v1("DELETE", f"{path}{query}")).json["revoked"] for query in queries]

    assert revoked == [1, 2, 0, 1, 0]


async def test_shared_links_are_recorded_in_the_audit_trail_and_personal_ones_are_not(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = (await create_link(polls, poll["id"], kind="shared", label="Team page", maxParticipants=5)).json
    await create_link(polls, poll["id"], kind="personal", participant=ADA)
    await polls.v1("DELETE", f"/polls/{poll['id']}/links")

    records = (await polls.v1("GET", f"/polls/{poll['id']}/audit")).json["items"]

    assert [each["action"] for each in records] == ["poll.create", "link.create", "link.revoke"]
    limits = {"label": "Team page", "expiresAt": None, "maxParticipants": 5, "maxPerAddress": 100}
    assert records[1]["after"] == {"links": {link["id"]: limits}}
    assert records[2]["before"] == {"links": {link["id"]: "active"}}
    assert ADA not in str(records)
    assert secret_of(link) not in str(records)


async def test_poll_has_a_maximum_number_of_links(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_LINKS_PER_POLL", 2)
    poll = await polls.create_poll()
    await create_link(polls, poll["id"], kind="shared")

    too_many = await polls.v1(
        "POST", f"/polls/{poll['id']}/links:batch", {"participants": [{"participant": "a"}, {"participant": "b"}]}
    )
    last = await create_link(polls, poll["id"], kind="shared")

    assert (too_many.status, too_many.json["type"].rpartition("/")[2]) == (409, "too-many-links")
    assert last.status == 201


async def test_ended_links_make_room_for_others(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_LINKS_PER_POLL", 1)
    poll = await polls.create_poll()
    await create_link(polls, poll["id"], kind="shared")
    await polls.v1("DELETE", f"/polls/{poll['id']}/links")

    assert (await create_link(polls, poll["id"], kind="shared")).status == 201


async def test_shared_links_of_one_day_have_a_maximum_and_do_not_keep_the_poll_from_being_edited(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MAX_SHARED_LINKS_PER_DAY", 3)
    monkeypatch.setattr(polls_storage, "MAX_CHANGES_PER_DAY", 3)
    poll = await polls.create_poll()
    for _ in range(3):
        assert (await create_link(polls, poll["id"], kind="shared")).status == 201
        await polls.v1("DELETE", f"/polls/{poll['id']}/links")

    refused = await create_link(polls, poll["id"], kind="shared")
    edited = [(await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": title})).status for title in ("A", "B", "C")]

    assert (refused.status, refused.json["type"].rpartition("/")[2]) == (409, "too-many-links")
    assert edited == [200, 200, 429]


async def test_number_of_participants_is_withheld_where_results_are(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "never"})
    await create_link(polls, poll["id"], kind="shared")
    holder = polls.with_token((await authority.issue("polls:vote:*"))["token"])

    assert [each["participants"] for each in await list_links(polls, poll["id"])] == [0]
    assert [each["participants"] for each in await list_links(holder, poll["id"])] == [None]


async def test_personal_links_are_removed_some_time_after_their_end(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll()
    for participant in ("ada", "bob"):
        await create_link(polls, poll["id"], kind="personal", participant=participant)
    await create_link(polls, poll["id"], kind="shared")
    await polls.v1("DELETE", f"/polls/{poll['id']}/links", participant="ada")
    connection = await asyncpg.connect(database.polls_url)
    try:
        early = await delete_ended_links(connection, datetime.now(UTC) - timedelta(days=30), 10)
        late = await delete_ended_links(connection, datetime.now(UTC) + timedelta(days=1), 10)
    finally:
        await connection.close()

    assert (early, late) == (0, 1)
    assert len(await list_links(polls, poll["id"])) == 2


async def test_links_end_with_their_poll(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll()
    await create_link(polls, poll["id"], kind="shared")

    await polls.v1("DELETE", f"/polls/{poll['id']}")

    assert await fetch(database.admin_url, "SELECT id FROM polls.link") == []


async def test_voting_link_as_token_returns_401_which_says_what_it_is(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = (await create_link(polls, poll["id"], kind="shared")).json

    refused = await polls.with_token(secret_of(link)).v1("GET", f"/polls/{poll['id']}")

    assert refused.status == 401
    assert "This is a voting link, not an access token" in refused.json["detail"]
    assert secret_of(link) not in msgspec.json.decode(refused.body, type=dict)["detail"]
