"""`pollgate restore`: the commands after a restore of the token authority's database."""

import asyncio
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.databases import ClonedDatabase
from tests.support.processes import authority_settings
from tests.support.stack import Authority

pytestmark = pytest.mark.own_services

SENTENCE = "revoked tokens may work again\n"


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def authority_settings_of_commands(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    settings = {**authority_settings(database, redis_url, tmp_path), "REVOCATION_LEASE": "0.5"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.mark.usefixtures("authority_settings_of_commands")
async def test_restoration_that_an_operator_begins_is_finished_by_a_choice(
    authority: Authority, command_line: CommandLine, tmp_path: Path
) -> None:
    not_a_journal = tmp_path / "notes.txt"
    not_a_journal.write_text("restored the dump\nof 3 June\n")
    token = await authority.issue()
    before = await command_line("restore", "status")
    nothing = await command_line("restore", "finish")

    begun = await command_line("restore", "begin", "--reason", "a drill", "--by", "Ada")
    during = await command_line("restore", "status", "--json")
    again = await command_line("restore", "begin", "--reason", "a drill")
    refused = await authority.introspect(token["token"])
    async with asyncio.timeout(5):
        while (ready := await authority("GET", "/readyz")).status != 503:
            await asyncio.sleep(0.05)
    by_journal = await command_line("restore", "finish")
    by_other_file = await command_line("restore", "finish", "--journal", str(not_a_journal))
    finished = await command_line("restore", "finish", "--accept-risk", "Ada", "--by", "Bo", stdin=SENTENCE)
    after = await command_line("restore", "status")

    assert (before.status, nothing.status, begun.status, again.status) == (0, 0, 0, 0)
    assert "not restored" in before.out
    assert "Nothing to finish" in nothing.out
    assert during.status == 3
    assert during.json["evidence"]["detail"] == "Ada: a drill"
    assert "already" in again.out
    assert refused.status == 503
    assert ready.json["checks"]["restoration"].startswith("the database was restored (an operator says so)")
    assert by_journal.status == 4
    assert "there is no journal" in by_journal.err
    assert "--revoke-working-tokens" in by_journal.err
    assert by_other_file.status == 4
    assert "none of the 2 lines of the journals is an audit record" in by_other_file.err
    assert finished.status == 0, finished.err
    assert after.status == 0
    assert (await authority.introspect(token["token"])).json["active"]
    record = (await authority.manage("GET", "/v1/audit?action=restore.finish")).json["items"][-1]
    assert (record["actor"], record["actor_id"]) == ("operator", "Bo")
    assert record["after"]["how"] == "Ada accepts that revoked tokens may work again"


@pytest.mark.usefixtures("authority", "authority_settings_of_commands")
async def test_choice_that_is_not_confirmed_or_contradicts_changes_nothing(
    command_line: CommandLine, subtests: pytest.Subtests
) -> None:
    await command_line("restore", "begin", "--reason", "a drill")
    for words, stdin, status in (
        (["--accept-risk", "Ada"], "yes\n", 1),
        (["--accept-risk", "Ada"], "", 1),
        (["--accept-risk", " "], SENTENCE, 2),
        (["--accept-risk", "Ada", "--revoke-working-tokens"], SENTENCE, 2),
    ):
        with subtests.test(words=words):
            assert (await command_line("restore", "finish", *words, stdin=stdin)).status == status
    assert (await command_line("restore", "status")).status == 3


@pytest.mark.usefixtures("authority", "authority_settings_of_commands")
async def test_revoking_working_tokens_reports_how_many(authority: Authority, command_line: CommandLine) -> None:
    tokens = [await authority.issue() for _ in range(3)]
    await command_line("restore", "begin", "--reason", "a drill")

    finished = await command_line("restore", "finish", "--revoke-working-tokens")

    assert "working tokens revoked" in finished.out
    for token in tokens:
        assert not (await authority.introspect(token["token"])).json["active"]


@pytest.mark.usefixtures("authority", "authority_settings_of_commands")
async def test_admin_key_is_not_created_while_one_works(command_line: CommandLine, tmp_path: Path) -> None:
    refused = await command_line("restore", "admin-key", str(tmp_path / "second.key"))

    assert refused.status == 1
    assert "pollgate admin create" in refused.err


async def test_command_without_settings_or_server_says_what_is_missing(
    authority_settings_of_commands: dict[str, str],
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    missing_file = await command_line("restore", "status", "--journal", str(tmp_path / "missing"))
    monkeypatch.setenv("TOKEN_AUTHORITY_DATABASE_URL", "postgresql://u:of-a-test@127.0.0.1:1/p")
    unreachable = await command_line("restore", "status")
    monkeypatch.delenv("TOKEN_AUTHORITY_DATABASE_URL")
    unset = await command_line("restore", "status")

    assert (missing_file.status, unreachable.status, unset.status) == (1, 1, 1)
    assert str(tmp_path / "missing") in missing_file.err
    assert "127.0.0.1:1" in unreachable.err
    assert "TOKEN_AUTHORITY_DATABASE_URL" in unset.err
    assert "--dir" in unset.err
    assert "--dir" not in missing_file.err + unreachable.err
    assert "of-a-test" not in unreachable.err
