"""`pollgate poll links`: voting links are listed and revoked."""

import csv
import io
from typing import Any, NamedTuple

import pytest

from pollgate.cli.commands import poll_links
from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

UNKNOWN = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


class Links(NamedTuple):
    """A poll with a shared link, a personal one of ada, and a revoked one of bob."""

    poll_id: str
    shared: Any
    ada: Any
    bob: Any


@pytest.fixture
async def links(polls: Polls) -> Links:
    """Create the links."""
    poll_id = str((await polls.create_poll(settings={"saveParticipantNames": True}))["id"])
    path = f"/polls/{poll_id}/links"
    shared = {"kind": "shared", "label": "Team page", "maxParticipants": 20}
    bodies: list[dict[str, Any]] = [
        shared,
        {"kind": "personal", "participant": "ada", "name": "Ada", "expiresAt": "2999-01-31"},
        {"kind": "personal", "participant": "bob"},
    ]
    made = Links(poll_id, *[(await polls.v1("POST", path, body)).json for body in bodies])
    await polls.v1("DELETE", f"{path}/{made.bob['id']}")
    return made


async def statuses(polls: Polls, poll_id: str) -> list[str]:
    """Return the status of each link."""
    return [link["status"] for link in (await polls.v1("GET", f"/polls/{poll_id}/links")).json["items"]]


async def test_poll_links_prints_table_without_addresses(integrator: CommandLine, links: Links) -> None:
    listed = await integrator("poll", "links", links.poll_id)

    rows = [line.split("  ") for line in listed.out.splitlines()[2:]]
    assert (listed.status, listed.err) == (0, "")
    assert listed.out.split()[:5] == ["Id", "Hint", "Kind", "Status", "For"]
    assert [row[0] for row in rows] == [links.shared["id"], links.ada["id"], links.bob["id"]]
    assert "Team page" in listed.out
    assert "0 of 20, up to 100 per address" in listed.out
    assert "ada (Ada)" in listed.out
    assert "2999-01-31 23:59" in listed.out
    assert links.shared["hint"] in listed.out
    assert find_secrets(listed.out) == []


async def test_poll_links_of_poll_without_names_prints_not_stored_for_personal_links(
    integrator: CommandLine, polls: Polls
) -> None:
    poll_id = (await polls.create_poll())["id"]
    path = f"/polls/{poll_id}/links"
    personal = (await polls.v1("POST", path, {"kind": "personal", "participant": "ada"})).json
    shared = (await polls.v1("POST", path, {"kind": "shared"})).json

    listed = await integrator("poll", "links", poll_id)
    as_csv = await integrator("poll", "links", poll_id, "--csv")
    as_json = await integrator("poll", "links", poll_id, "--json")

    lines = {line.split()[0]: line for line in listed.out.splitlines()[2:]}
    assert "active  not stored " in lines[personal["id"]]
    assert "not stored" not in lines[shared["id"]]
    assert [row["participant"] for row in csv.DictReader(io.StringIO(as_csv.out))] == ["", ""]
    assert [link["participant"] for link in as_json.json] == [None, None]


async def test_poll_links_lists_those_that_meet_all_conditions(
    integrator: CommandLine, links: Links, subtests: pytest.Subtests
) -> None:
    for options, expected in (
        (("--kind", "personal"), [links.ada, links.bob]),
        (("--status", "active"), [links.shared, links.ada]),
        (("--participant", "bob", "--status", "revoked"), [links.bob]),
        (("--created-by", "tok_other"), []),
        (("--limit", "1"), [links.shared]),
    ):
        with subtests.test(" ".join(options)):
            listed = await integrator("poll", "links", links.poll_id, *options, "--json")

            assert [link["id"] for link in listed.json] == [link["id"] for link in expected]
    none = await integrator("poll", "links", links.poll_id, "--kind", "shared", "--status", "revoked")
    assert none.out == "No voting link meets these conditions.\n"


async def test_poll_links_of_poll_without_links_names_the_command(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll()

    listed = await integrator("poll", "links", poll["id"])

    assert listed.out == "The poll has no voting links; `pollgate poll link` creates them.\n"


async def test_poll_links_prints_csv(integrator: CommandLine, links: Links) -> None:
    as_csv = await integrator("poll", "links", links.poll_id, "--csv")
    excel = await integrator("poll", "links", links.poll_id, "--excel")

    shared, ada, bob = csv.DictReader(io.StringIO(as_csv.out))
    assert (shared["label"], shared["max participants"], shared["participants"]) == ("Team page", "20", "0")
    assert (ada["participant"], ada["name"], ada["participants"]) == ("ada", "Ada", "")
    assert (bob["status"], bool(bob["revoked at"]), bob["hint"]) == ("revoked", True, links.bob["hint"])
    assert excel.out == "\ufeff" + as_csv.out


async def test_poll_links_revoke_prints_each_link_and_exits_1_for_unknown_ids(
    integrator: CommandLine, polls: Polls, links: Links
) -> None:
    ids = ("--revoke", links.shared["id"], "--revoke", UNKNOWN, "--revoke", links.bob["id"])
    revoked = await integrator("poll", "links", links.poll_id, *ids)

    assert revoked.status == 1
    assert revoked.out == f"Revoked {links.shared['id']}.\nRevoked {links.bob['id']}.\n"
    assert revoked.err == f"pollgate: the poll has no voting link with the id {UNKNOWN}\n"
    assert await statuses(polls, links.poll_id) == ["revoked", "active", "revoked"]


async def test_poll_links_revoke_all_asks_for_confirmation(integrator: CommandLine, polls: Polls, links: Links) -> None:
    revoke = ("poll", "links", links.poll_id, "--revoke-all")
    in_a_script = await integrator(*revoke)
    declined = await integrator(*revoke, stdin="n\n", terminal=True)
    before = await statuses(polls, links.poll_id)
    confirmed = await integrator(*revoke, stdin="y\n", terminal=True)
    again = await integrator(*revoke, terminal=True)

    assert (in_a_script.status, in_a_script.err) == (
        2,
        "pollgate: --revoke-all requires --yes without a terminal\n",
    )
    assert "This revokes 2 active links permanently; ballots that were cast stay. Continue? [y/N]" in declined.err
    assert (declined.status, "nothing was revoked" in declined.err) == (1, True)
    assert before == ["active", "active", "revoked"]
    assert confirmed.out == "Revoked 2 links. Ballots that were cast by them stay.\n"
    assert (again.status, again.out, again.err) == (0, "Nothing to revoke: no active link.\n", "")


async def test_poll_links_revoke_all_with_conditions_and_yes_does_not_ask(
    integrator: CommandLine, polls: Polls, links: Links
) -> None:
    revoke = ("poll", "links", links.poll_id, "--revoke-all", "--yes")
    personal = await integrator(*revoke, "--kind", "personal")
    again = await integrator(*revoke, "--participant", "ada")

    assert personal.out == "Revoked 1 link. Ballots that were cast by it stay.\n"
    assert again.out == "Nothing to revoke: no active link meets these conditions.\n"
    assert await statuses(polls, links.poll_id) == ["active", "revoked", "revoked"]


async def test_poll_links_revoke_all_of_many_links_counts_up_to_a_maximum(
    integrator: CommandLine, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_links, "MAX_COUNTED", 1)

    declined = await integrator("poll", "links", links.poll_id, "--revoke-all", stdin="n\n", terminal=True)

    assert "This revokes more than 1 links permanently" in declined.err


async def test_poll_links_revoke_all_with_lost_response_exits_1_and_can_be_repeated(
    integrator: CommandLine, polls: Polls, links: Links
) -> None:
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, polls.token)
        proxy.lost = 1
        lost = await integrator("poll", "links", links.poll_id, "--revoke-all", "--yes")

    assert (lost.status, lost.out) == (1, "")
    assert "The links may have been revoked; repeat the command to be sure" in lost.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--csv", "--json"), "give either --csv or --json"),
        (("--limit", "0"), "--limit must be at least 1"),
        (("--revoke-all", "--yes", "--status", "active"), "--status is for the list, not for a revocation"),
        (("--revoke", UNKNOWN, "--json"), "--json is for the list, not for a revocation"),
        (("--revoke", UNKNOWN, "--revoke-all", "--yes"), "give either --revoke or --revoke-all"),
        (("--revoke", UNKNOWN, "--kind", "shared"), "--revoke takes ids, so it cannot be combined with conditions"),
        (("--revoke", ""), "this is not an id; `pollgate poll links` shows the ids"),
        (("--participant", ""), "--participant: this may not be empty"),
    ],
)
async def test_poll_links_with_invalid_options_exits_2(
    integrator: CommandLine, polls: Polls, links: Links, options: tuple[str, ...], sentence: str
) -> None:
    refused = await integrator("poll", "links", links.poll_id, *options)

    assert (refused.status, refused.out) == (2, "")
    assert sentence in refused.err
    assert await statuses(polls, links.poll_id) == ["active", "active", "revoked"]
