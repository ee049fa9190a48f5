"""`pollgate poll link`: voting links are created, and their addresses are printed once."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pollgate.cli import participants_file
from pollgate.client import poll_links
from shared.contract.token import VOTING_LINK, is_well_formed, mint
from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services


@pytest.fixture
async def poll_id(polls: Polls) -> str:
    """Create a poll that keeps names. Return its id."""
    return str((await polls.create_poll(settings={"saveParticipantNames": True}))["id"])


async def list_links(polls: Polls, poll_id: str) -> Sequence[Any]:
    """Return the links of a poll."""
    pages = polls.list_pages(f"/polls/{poll_id}/links", limit=100)
    return [item async for page in pages for item in page["items"]]


def has_secret(url: str) -> bool:
    """Return whether a text is the address of a voting link."""
    return is_well_formed(url.rpartition("/p/")[2], VOTING_LINK)


async def test_poll_link_shared_prints_address_and_limits(integrator: CommandLine, polls: Polls, poll_id: str) -> None:
    options = ("--label", "Team page", "--max-participants", "20", "--expires", "2999-01-31")
    created = await integrator("poll", "link", poll_id, "--shared", *options)
    (link,) = await list_links(polls, poll_id)

    lines = created.out.splitlines()
    assert (created.status, created.err) == (0, "")
    assert lines[:-4] == [
        f"Id            {link['id']}",
        "Kind          shared",
        "Label         Team page",
        "Participants  0 of 20, up to 100 per address",
        "Expires       2999-01-31 23:59:59 UTC",
    ]
    assert has_secret(lines[-3])
    assert lines[-1] == "Store this address now: it is not shown again."


async def test_poll_link_without_limits_by_none_and_never(integrator: CommandLine, polls: Polls, poll_id: str) -> None:
    options = ("--max-participants", "none", "--max-per-address", "none", "--expires", "never")
    created = await integrator("poll", "link", poll_id, "--shared", *options, "--json")

    assert has_secret(created.json["url"])
    limits = ("maxParticipants", "maxPerAddress", "expiresAt")
    assert [created.json[name] for name in limits] == [None, None, None]
    assert [link["id"] for link in await list_links(polls, poll_id)] == [created.json["id"]]


async def test_poll_link_participant_prints_address(integrator: CommandLine, poll_id: str) -> None:
    created = await integrator("poll", "link", poll_id, "--participant", "ada", "--name", "Ada Lovelace")
    as_csv = await integrator("poll", "link", poll_id, "--participant", "bob", "--csv")

    assert "Participant  ada\nName         Ada Lovelace\n" in created.out
    assert len(find_secrets(created.out)) == 1
    (row,) = csv.DictReader(io.StringIO(as_csv.out))
    assert (row["participant"], row["name"], row["expires at"], has_secret(row["url"])) == ("bob", "", "", True)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("participant,name\nada,Ada Lovelace\nbob,\n", [("ada", "Ada Lovelace"), ("bob", None)]),
        ('\ufeff\r\nName;Participant\r\n"Bob; B.";bob\r\n;ada\r\n;\r\n', [("bob", "Bob; B."), ("ada", None)]),
        ("participant\tname\nada\tAda\n", [("ada", "Ada")]),
        ('participant,name\n"a,b","=1+1"\n', [("a,b", "=1+1")]),
        ("participant\nada\n", [("ada", None)]),
        ("email;name\nada@example.org;Ada\n", [("ada@example.org", "Ada")]),
        ("Name,E-Mail\nAda,ada@example.org\n", [("ada@example.org", "Ada")]),
        ("ID\nada\n", [("ada", None)]),
        ("\n User \t\nada\t\n", [("ada", None)]),
        ('"email"\nada\n', [("ada", None)]),
        ("ada\nname\nid\n", [("ada", None), ("name", None), ("id", None)]),
        ("ada\r\n\r\nżółw 🐢\nbob", [("ada", None), ("żółw 🐢", None), ("bob", None)]),
    ],
)
async def test_poll_link_participants_reads_tables_and_lists(
    integrator: CommandLine, polls: Polls, poll_id: str, content: str, expected: Any
) -> None:
    created = await integrator("poll", "link", poll_id, "--participants", "-", "--json", stdin=content)

    assert [(link["participant"], link["name"]) for link in created.json] == expected
    assert all(has_secret(link["url"]) for link in created.json)
    assert created.err == ""
    assert len(await list_links(polls, poll_id)) == len(expected)


async def test_poll_link_participants_prints_table(integrator: CommandLine, poll_id: str, tmp_path: Path) -> None:
    file = tmp_path / "team.csv"
    file.write_text("email,participant\nada@example.org,ada\nbob@example.org,bob\n")

    created = await integrator("poll", "link", poll_id, "--participants", str(file), "--expires", "7d")

    lines = created.out.splitlines()
    assert created.status == 0
    assert created.err == "pollgate: warning: only the columns participant and name are used, not email.\n"
    assert lines[0].split() == ["Participant", "Name", "Address"]
    assert [line.split()[0] for line in lines[2:4]] == ["ada", "bob"]
    assert len(find_secrets(created.out)) == 2
    assert lines[-1] == "Store these addresses now: they are not shown again."


async def test_poll_link_participants_with_several_columns_of_ids_uses_the_first_and_warns(
    integrator: CommandLine, poll_id: str
) -> None:
    created = await integrator(
        *("poll", "link", poll_id, "--participants", "-", "--json"), stdin="user,Email,id\nada,ada@example.org,a1\n"
    )

    assert [link["participant"] for link in created.json] == ["a1"]
    assert created.err == "pollgate: warning: only the columns id and name are used, not user, email.\n"


async def test_poll_link_output_writes_a_complete_private_file_or_none(
    integrator: CommandLine, polls: Polls, poll_id: str, tmp_path: Path
) -> None:
    file, absent, nowhere = tmp_path / "links.csv", tmp_path / "absent.csv", tmp_path / "no" / "links.csv"
    options = ("poll", "link", poll_id, "--participants", "-", "--excel", "--output")

    written = await integrator(*options, str(file), stdin="participant,name\nada,=1+1\nbob,Bob\n")
    before = await list_links(polls, poll_id)
    failed = await integrator(*options, str(nowhere), stdin="cleo")
    unknown = await integrator(*("poll", "link", "x", *options[3:]), str(absent), stdin="cleo")

    assert written.out == f"Wrote 2 links to {file}. Store these addresses now: they are not shown again.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert [(row["participant"], row["name"]) for row in rows] == [("ada", "'=1+1"), ("bob", "Bob")]
    assert all(has_secret(row["url"]) for row in rows)
    assert sorted(row["id"] for row in rows) == sorted(link["id"] for link in before)
    assert (failed.status, "cannot write the links: No such file or directory" in failed.err) == (1, True)
    assert (unknown.status, absent.exists()) == (1, False)
    assert await list_links(polls, poll_id) == before


async def test_poll_link_output_exists_exits_1_and_creates_nothing_without_overwrite(
    integrator: CommandLine, polls: Polls, poll_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "links.csv"
    file.write_text("the only copy")
    options = ("poll", "link", poll_id, "--participant", "ada", "--output", str(file))

    refused = await integrator(*options)
    kept, created = file.read_text(), await list_links(polls, poll_id)
    replaced = await integrator(*options, "--overwrite")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        f"pollgate: {file} exists; it may have addresses that are not shown again. "
        "Choose another name, or add --overwrite.\n"
    )
    assert (kept, created) == ("the only copy", [])
    assert replaced.out == f"Wrote 1 link to {file}. Store this address now: it is not shown again.\n"
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert has_secret(row["url"])


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ("", ["standard input contains no participant"]),
        ("participant,name\n", ["standard input contains no participant"]),
        ("ada\nbob,Bob\n", ["standard input, line 2: this is a row of a table, which has to begin with the line"]),
        ("key,name\nada,Ada\n", ["standard input, line 1: this is a row of a table"]),
        (
            "name\nx\n",
            [
                "standard input, line 1: this names columns, but none for the ids of participants: "
                "participant, id, email, e-mail or user"
            ],
        ),
        ("\n;Name\n;Ada\n", ["standard input, line 2: this names columns, but none for the ids of participants"]),
        ("id,ID\nada,bob\n", ["line 1: there are several columns id"]),
        ("email,name\nada,Ada\nada,Ada\n", ["line 3: this is the participant of line 2; each gets one link"]),
        ("participant,name\nada,Ada,x\n", ["line 2: this row has 3 cells, but the table has 2 columns"]),
        ("participant,participant\nada,Ada\n", ["line 1: there are several columns participant"]),
        ('participant,name\nada,"Ada\nLovelace\n', ["line 2: the row that begins here is not CSV"]),
        (
            'participant,name\nada,"Ada\nL."\nada,Ada\n,Eve\n bob,\nb\x07b,\ncleo, \u200b\n' + "p" * 256,
            [
                "participants in standard input are not valid; no link was created:",
                "line 2: name: this contains the line break U+000A; write a space instead",
                "line 4: this is the participant of line 2; each gets one link",
                "line 5: participant: this may not be empty",
                "line 6: participant: this begins or ends with a blank; remove it",
                "line 7: participant: this contains the control character U+0007; remove it",
                "line 8: name: this contains no visible character",
                "line 9: participant: this has 256 characters; expected 1 to 255",
            ],
        ),
        ("zoe\u0308\nzo\u00eb\n", ["line 2: this is the participant of line 1; each gets one link"]),
        ('"ada"\n', ["standard input, line 1: this is a row of a table"]),
        ("".join(f"p{number} \n" for number in range(12)), ["line 10: ", "\n  and 2 more"]),
    ],
)
async def test_poll_link_invalid_participants_exit_1_with_line_numbers_and_create_nothing(
    integrator: CommandLine, polls: Polls, poll_id: str, content: str, sentences: Sequence[str]
) -> None:
    refused = await integrator("poll", "link", poll_id, "--participants", "-", stdin=content)

    assert (refused.status, refused.out) == (1, "")
    for sentence in sentences:
        assert sentence in refused.err
    assert await list_links(polls, poll_id) == []


async def test_poll_link_file_that_cannot_be_read_exits_1(
    integrator: CommandLine, poll_id: str, tmp_path: Path
) -> None:
    latin, secret = tmp_path / "latin.csv", mint("pgt")
    latin.write_bytes(b"participant,name\nada,Ada\nzo\xeb,Zoe\n")

    absent = await integrator("poll", "link", poll_id, "--participants", str(tmp_path / "absent.csv"))
    other = await integrator("poll", "link", poll_id, "--participants", str(latin))
    with_secret = await integrator("poll", "link", poll_id, "--participants", "-", stdin=f"ada\n{secret}\n")

    assert absent.err.startswith("pollgate: cannot read the participants: No such file or directory: ")
    assert other.err == f"pollgate: {latin}, line 3: this is not UTF-8; save the file as text in UTF-8\n"
    assert "line 2: participant: this is a secret, not a participant's id" in with_secret.err
    assert secret not in with_secret.err
    assert [absent.status, other.status, with_secret.status] == [1, 1, 1]


async def test_poll_link_refused_in_second_batch_writes_created_links_and_exits_1_with_line(
    integrator: CommandLine, polls: Polls, poll_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(poll_links, "MAX_BATCH", 2)
    monkeypatch.setattr(participants_file, "MAX_LENGTH", 300)  # the service takes less
    file, absent = tmp_path / "links.csv", tmp_path / "absent.csv"
    options = ("poll", "link", poll_id, "--participants", "-", "--output")

    created = await integrator(*options, str(file), stdin="ada\nbob\n\ncleo\n" + "d" * 256)
    refused = await integrator(*options, str(absent), stdin="d" * 256)

    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert (created.status, refused.status) == (1, 1)
    assert created.out == f"Wrote 2 links to {file}. Store these addresses now: they are not shown again.\n"
    assert "pollgate: the first 2 of 4 links were created; those from line 4 on are missing: the " in created.err
    assert "--participants (line 5): this has 256 characters; expected 1 to 255" in created.err
    assert [row["participant"] for row in rows] == ["ada", "bob"]
    assert sorted(row["id"] for row in rows) == sorted(link["id"] for link in await list_links(polls, poll_id))
    assert refused.err.startswith("pollgate: the polls service answered 422: ")
    assert "--participants (line 1): this has 256 characters" in refused.err
    assert not absent.exists()


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        ((), 2, "give one of --shared, --participant and --participants: who the link is for"),
        (("--shared", "--participant", "ada"), 2, "give one of --shared, --participant and --participants"),
        (("--participant", "ada", "--label", "x"), 2, "--label is for a --shared link"),
        (("--participants", "-", "--max-per-address", "none"), 2, "--max-per-address is for a --shared link"),
        (("--shared", "--name", "Ada"), 2, "--name is for one --participant"),
        (("--participants", "-", "--name", "Ada"), 2, "a file has names in its column name"),
        (("--shared", "--csv", "--json"), 2, "give either --csv or --json"),
        (("--shared", "--excel", "--json"), 2, "give either --excel or --json"),
        (("--shared", "--output", "x.csv", "--json"), 2, "--output writes CSV, not JSON; leave out --json, or"),
        (("--shared", "--overwrite"), 2, "--overwrite is for a file that --output names"),
        (("--shared", "--max-participants", "many"), 2, "'many' is neither a number nor none"),
        (("--shared", "--expires", "soon"), 2, "'soon' is not a time; write it as 2027-01-31 (its last moment)"),
        (("--participant", ""), 2, "--participant: this may not be empty"),
        (("--participant", " ada"), 1, "--participant: this begins or ends with a blank"),
        (("--shared", "--label", ""), 1, "--label: this has 0 characters; expected 1 to 255"),
        (
            ("--shared", "--max-per-address", "0"),
            1,
            "--max-per-address: expected a number from 1 to 10,000,000, or none",
        ),
        (("--shared", "--expires", "2020-01-01"), 1, "--expires: this time is over; give a later one, or never for no"),
    ],
)
async def test_poll_link_with_invalid_options_exits_1_or_2(
    integrator: CommandLine, polls: Polls, poll_id: str, options: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await integrator("poll", "link", poll_id, *options)

    assert (refused.status, refused.out) == (status, ""), refused.err
    assert sentence in refused.err
    assert await list_links(polls, poll_id) == []


async def test_poll_link_with_lost_response_exits_1_with_consequence(
    integrator: CommandLine, polls: Polls, poll_id: str
) -> None:
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, polls.token)
        proxy.lost = 1
        lost = await integrator("poll", "link", poll_id, "--shared")

    assert (lost.status, lost.out) == (1, "")
    assert "A link may have been created, with an address that is lost; check before you repeat" in lost.err


async def test_poll_link_without_action_vote_exits_1_with_scope(
    integrator: CommandLine, polls: Polls, authority: Authority, poll_id: str
) -> None:
    integrator.use_polls(polls.base, (await authority.issue("polls:read:*"))["token"])

    refused = await integrator("poll", "link", poll_id, "--shared")

    assert (refused.status, refused.out) == (1, "")
    assert "Missing scope: polls:vote:" in refused.err
