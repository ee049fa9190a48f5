"""`pollgate audit`: list, export and verify."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from shared.runtime.process.serve import listen
from tests.support.command_line import CommandLine
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import HOST, Authority

pytestmark = pytest.mark.shared_services


@pytest.fixture
async def token_id(authority: Authority) -> str:
    """Create a token with three audit records. Return its id."""
    token = await authority.issue(name="before", owner="ada")
    await authority.manage("PATCH", f"/v1/tokens/{token['id']}", {"name": "after"})
    await authority.revoke(token["id"])
    return str(token["id"])


async def head(pollgate: CommandLine) -> str:
    """Return the head that `audit verify` prints."""
    verified = await pollgate("audit", "verify", "--json")
    return str(verified.json["head"])


async def test_audit_list_applies_each_condition(pollgate: CommandLine, token_id: str) -> None:
    own = (await pollgate("admin", "whoami", "--json")).json["id"]
    about = ("audit", "list", "--subject", f"token:{token_id}")

    every = await pollgate(*about, "--actor", own, "--since", "1h", "--oldest-first", "--json")
    some = await pollgate(*about, "--action", "token.change")
    newest = await pollgate("audit", "list", "--limit", "2", "--json")
    none = await pollgate(*about, "--until", "1h")

    assert [record["action"] for record in every.json] == ["token.issue", "token.change", "token.revoke"]
    assert 'name: "before" → "after"' in some.out
    assert f"admin_key:{own}" in some.out
    assert [record["action"] for record in newest.json] == ["token.revoke", "token.change"]
    assert none == (0, "No record meets these conditions.\n", "")


async def test_audit_export_writes_lines_of_json(pollgate: CommandLine, token_id: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"

    printed = await pollgate("audit", "export")
    written = await pollgate("audit", "export", "--output", str(file))
    some = await pollgate("audit", "export", "--action", "token.revoke")

    records = [json.loads(line) for line in printed.out.splitlines()]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert file.read_text() == printed.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert written.out == f"Wrote {len(records)} records to {file}.\n"
    assert [json.loads(line)["subject"] for line in some.out.splitlines()] == [f"token:{token_id}"]


@pytest.mark.own_services
async def test_audit_export_that_fails_leaves_no_file_and_exits_1(
    pollgate: CommandLine, authority: Authority, tmp_path: Path
) -> None:
    pollgate.use_authority(authority.base, "pga_" + "A" * 38)

    refused = await pollgate("audit", "export", "--output", str(tmp_path / "audit.jsonl"))
    no_folder = await pollgate("audit", "export", "--output", str(tmp_path / "nowhere" / "audit.jsonl"))

    assert (refused.status, "answered 401" in refused.err) == (1, True)
    assert (no_folder.status, "cannot write the audit log: No such file or directory" in no_folder.err) == (1, True)
    assert [file.name for file in tmp_path.iterdir()] == ["admin.key"]  # noqa: ASYNC240


@pytest.mark.usefixtures("token_id")
async def test_audit_verify_of_intact_log_prints_its_head(
    pollgate: CommandLine, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    await pollgate("audit", "export", "--output", str(file))
    earlier = await head(pollgate)
    await authority.issue()

    verified = await pollgate("audit", "verify", "--head", earlier)
    of_file = await pollgate("audit", "verify", "--file", str(file), "--head", earlier)
    of_input = await pollgate("audit", "verify", "--file", "-", stdin=file.read_text())

    later = await head(pollgate)
    assert verified.out == f"The audit log is intact: {later.partition(':')[0]} records. Head: {later}\n"
    assert later != earlier
    assert of_file.out.endswith(f" Head: {earlier}\n")
    assert of_input == of_file


@pytest.mark.usefixtures("token_id")
async def test_audit_verify_on_server_prints_the_same_head(pollgate: CommandLine, authority: Authority) -> None:
    earlier = await head(pollgate)
    await authority.issue()

    verified = await pollgate("audit", "verify", "--on-server", "--head", earlier)

    assert verified == await pollgate("audit", "verify")
    assert verified.status == 0


@pytest.mark.own_services
async def test_audit_verify_and_export_of_interrupted_response_exit_1(pollgate: CommandLine, tmp_path: Path) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return answer

    app = web.Application()
    app.router.add_get("/v1/audit/export", break_off)
    async with listen(app, HOST, 0) as port:
        pollgate.use_authority(f"http://{HOST}:{port}", "pga_x")
        verified = await pollgate("audit", "verify")
        exported = await pollgate("audit", "export", "--output", str(tmp_path / "audit.jsonl"))

    for ended in (verified, exported):
        assert (ended.status, ended.out) == (1, "")
        assert "the response ended before it was complete" in ended.err
    assert [file.name for file in tmp_path.iterdir()] == ["admin.key"]  # noqa: ASYNC240


CHANGES = [
    ('UPDATE token_authority.audit_log SET after = \'{"name": "x"}\' WHERE seq = 3', "record 3 has been changed"),
    ("DELETE FROM token_authority.audit_log WHERE seq = 2", "record 2 is missing: the next one is 3"),
    ("UPDATE token_authority.audit_log SET previous = hash WHERE seq = 3", "record 3 does not follow the one before"),
]


@pytest.mark.usefixtures("token_id")
@pytest.mark.parametrize(("statement", "sentence"), CHANGES)
async def test_audit_verify_of_changed_log_exits_1(
    pollgate: CommandLine, database: ClonedDatabase, statement: str, sentence: str
) -> None:
    await fetch(database.admin_url, statement)

    for verified in (await pollgate("audit", "verify"), await pollgate("audit", "verify", "--on-server")):
        assert (verified.status, verified.out) == (1, "")
        assert f"the audit log is not intact: {sentence}" in verified.err


@pytest.mark.usefixtures("token_id")
async def test_audit_verify_of_truncated_log_with_earlier_head_exits_1(
    pollgate: CommandLine, database: ClonedDatabase
) -> None:
    earlier = await head(pollgate)
    seq = int(earlier.partition(":")[0])
    await fetch(database.admin_url, "DELETE FROM token_authority.audit_log WHERE seq = $1", seq)

    without = await pollgate("audit", "verify")
    with_head = [await pollgate("audit", "verify", "--head", earlier, *more) for more in ((), ("--on-server",))]

    assert without.status == 0
    for verified in with_head:
        assert (verified.status, verified.out) == (1, "")
        assert f"truncated: it ends with record {seq - 1}, but record {seq} existed before" in verified.err


async def test_audit_verify_of_rewritten_log_with_earlier_head_exits_1(
    pollgate: CommandLine, authority: Authority, database: ClonedDatabase
) -> None:
    await authority.issue(name="embarrassing")
    earlier = await head(pollgate)
    seq = int(earlier.partition(":")[0])
    await fetch(database.admin_url, "DELETE FROM token_authority.audit_log WHERE seq = $1", seq)
    await authority.issue(name="harmless")

    without = await pollgate("audit", "verify")
    with_head = [await pollgate("audit", "verify", "--head", earlier, *more) for more in ((), ("--on-server",))]

    assert without.status == 0
    for verified in with_head:
        assert (verified.status, verified.out) == (1, "")
        assert f"rewritten: record {seq} is not the one of the earlier head" in verified.err


@pytest.mark.parametrize(
    ("options", "stdin", "status", "sentence"),
    [
        (("--head", "12"), "", 2, "--head takes SEQ:HASH"),
        (("--file", "-", "--on-server"), "", 2, "give either --file or --on-server"),
        (("--on-server", "--head", "9" * 18 + ":" + "f" * 64), "", 1, "--head: "),
        (("--file", "nowhere.jsonl"), "", 1, "cannot read the audit log: No such file or directory: nowhere.jsonl"),
        (("--file", "-"), "hello\n", 1, "the line after record 0 is not an audit record"),
        (("--file", "-"), '{"seq": 1', 1, "the line after record 0 is not an audit record"),
        (("--file", "-", "--head", "0:" + "f" * 64), "", 1, "rewritten: record 0"),
        (
            ("--file", "-", "--head", "5:" + "f" * 64),
            "",
            1,
            "truncated: it ends with record 0, but record 5 existed before",
        ),
    ],
)
async def test_audit_verify_with_invalid_input_exits_1_or_2(
    pollgate: CommandLine, options: tuple[str, ...], stdin: str, status: int, sentence: str
) -> None:
    refused = await pollgate("audit", "verify", *options, stdin=stdin)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err
