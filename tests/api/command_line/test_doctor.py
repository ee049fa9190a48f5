"""`pollgate doctor`: what it finds about the parts of a stack, and its exit status."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from tests.support.command_line import CommandLine, CommandResult
from tests.support.databases import ClonedDatabase
from tests.support.ports import take_port
from tests.support.stack import HOST, Authority, Polls
from tests.support.tls_proxy import run_tls_proxy

AUTHORITY, POLLS = "token authority", "polls"
REDIS_RIGHTS = ("Redis of the token authority", "rights")
"""The Redis of the tests has one user, which may do everything."""
AUTHORITY_DATABASE, POLLS_DATABASE = "PostgreSQL of the token authority", "PostgreSQL of polls"


@pytest.fixture(autouse=True)
async def _environment(
    database: ClonedDatabase,
    authority: Authority,
    polls: Polls,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Set the variables of a whole stack, and wait until all of it works."""
    for name, value in {
        "TOKEN_AUTHORITY_URL": authority.base,
        "POLLS_REPLICAS_URL": polls.base,
        "TOKEN_AUTHORITY_DATABASE_URL": database.token_authority_url,
        "POLLS_DATABASE_URL": database.polls_url,
        "REDIS_URL": redis_url,
    }.items():
        monkeypatch.setenv(name, value)
    async with asyncio.timeout(10):
        while set((await polls("GET", "/readyz")).json["checks"].values()) != {"ok"}:
            await asyncio.sleep(0.05)


async def test_doctor_of_running_stack_finds_no_problem_and_exits_0(integrator: CommandLine) -> None:
    result = await integrator("doctor", "--json")
    found = _states(result)

    assert result.status == 0
    assert {key for key, state in found.items() if state in ("warning", "problem")} <= {REDIS_RIGHTS}
    assert {found[AUTHORITY, "readiness"], found[POLLS, "readiness"], found[POLLS, "lease"]} == {"ok"}
    assert {found[AUTHORITY_DATABASE, check] for check in ("server", "clock", "migrations", "leases", "feed lag")} == {
        "ok"
    }
    assert found[AUTHORITY_DATABASE, "backup"] == "not checked"


async def test_doctor_prints_a_table_with_advice_and_a_summary(
    integrator: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLLS_DATABASE_URL")

    result = await integrator("doctor")

    assert result.out.startswith("Part ")
    assert "→ run this where the service runs, with its environment, or set POLLS_DATABASE_URL" in result.out
    assert result.out.endswith("0 problems, 1 warning, 2 not checked.\n")


async def test_doctor_with_stopped_service_exits_1_and_names_the_address(
    integrator: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLLS_REPLICAS_URL", f"http://{HOST}:1")

    result = await integrator("doctor", "--json")

    assert result.status == 1
    assert _findings(result)[POLLS, "answers"]["advice"] == "start it, or correct POLLS_REPLICAS_URL"
    assert _findings(result)[POLLS, "answers"]["finding"] == f"http://{HOST}:1: the connection was refused"
    assert _states(result)[AUTHORITY, "readiness"] == "ok"


async def test_doctor_repeats_what_a_proxy_without_a_replica_says(
    integrator: CommandLine, aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        body = '{"type": "/docs/problems/unavailable", "detail": "No replica of the service answers; try again."}'
        return web.Response(status=503, text=body, content_type="application/problem+json")

    app = web.Application()
    app.router.add_get("/readyz", refuse)
    monkeypatch.setenv("TOKEN_AUTHORITY_URL", str((await aiohttp_server(app)).make_url("")))

    found = _findings(await integrator("doctor", "--json"))[AUTHORITY, "answers"]

    assert found["finding"].endswith("/readyz answered 503: No replica of the service answers; try again.")
    assert found["advice"] == "start it, or correct TOKEN_AUTHORITY_URL"


async def test_doctor_without_postgresql_reports_the_address_but_not_the_password(
    integrator: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_AUTHORITY_DATABASE_URL", f"postgresql://token_authority:hush@{HOST}:1/pollgate")

    result = await integrator("doctor", "--json")

    assert (result.status, _states(result)[AUTHORITY_DATABASE, "database"]) == (1, "problem")
    assert f"PostgreSQL at {HOST}:1" in result.out
    assert "hush" not in result.out + result.err


@pytest.mark.own_database
async def test_doctor_with_missing_migration_says_which_and_how_to_apply_it(
    integrator: CommandLine, database: ClonedDatabase
) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("DELETE FROM polls.schema_migrations WHERE name LIKE '0003%'")
    await connection.close()

    found = _findings(await integrator("doctor", "--json"))[POLLS_DATABASE, "migrations"]

    assert found["state"] == "problem"
    assert found["finding"] == "0003_ballots_by_participant.sql is missing"
    assert found["advice"] == "run `pollgate migrate`"


async def test_doctor_with_abandoned_lease_warns_and_exits_1_if_strict(
    integrator: CommandLine, database: ClonedDatabase
) -> None:
    connection = await asyncpg.connect(database.admin_url)

    async def abandon() -> None:
        await connection.execute(
            "INSERT INTO token_authority.guard_lease (client_id, guard_id, applied, lease_ms) "
            "VALUES ('polls', 'abandoned-guard-01', 0, 5000) ON CONFLICT DO NOTHING"
        )

    await abandon()
    result = await integrator("doctor", "--json")
    await abandon()
    strict = await integrator("doctor", "--json", "--strict")
    await connection.close()

    found = _findings(result)[AUTHORITY_DATABASE, "leases"]
    assert (found["state"], result.status, strict.status) == ("warning", 0, 1)
    assert "polls abandone" in found["finding"]


@pytest.mark.own_database
async def test_doctor_of_restored_database_says_what_was_found_and_how_to_finish(
    integrator: CommandLine, database: ClonedDatabase
) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(
        "INSERT INTO token_authority.restoration (evidence, expected_seq) "
        """VALUES ('{"source": "operator", "detail": "restored the dump of Monday"}', 0)"""
    )
    await connection.close()

    result = await integrator("doctor", "--json")

    found = _findings(result)[AUTHORITY_DATABASE, "restore"]
    assert (result.status, found["state"]) == (1, "problem")
    assert "restored the dump of Monday" in found["finding"]
    assert "pollgate restore finish" in found["advice"]
    assert _states(result)[AUTHORITY, "readiness"] == "problem"


async def test_doctor_compares_the_audit_head_of_a_backup(integrator: CommandLine, authority: Authority) -> None:
    head = await _audit_head(authority)
    same = await integrator("doctor", "--json", "--audit-head", head)
    other = await integrator("doctor", "--json", "--audit-head", head.split(":")[0] + ":" + "0" * 64)

    assert _states(same)[AUTHORITY_DATABASE, "backup"] == "ok"
    assert (other.status, _states(other)[AUTHORITY_DATABASE, "backup"]) == (1, "problem")
    assert "docs/backup.md" in _findings(other)[AUTHORITY_DATABASE, "backup"]["advice"]


async def test_doctor_with_malformed_audit_head_exits_2_and_shows_the_form(integrator: CommandLine) -> None:
    for head in ("12", ""):  # an empty one is what `cat` prints of a file that is missing
        result = await integrator("doctor", "--audit-head", head)

        assert result.status == 2
        assert result.err == "pollgate: --audit-head takes SEQ:HASH, as `pollgate audit verify` printed it\n"


async def test_doctor_with_certificate_that_ends_tomorrow_reports_a_problem(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = take_port()
    monkeypatch.setenv("POLLS_REPLICAS_URL", f"https://{HOST}:{port}")
    async with run_tls_proxy(port, int(polls.base.rpartition(":")[2])):
        found = _findings(await integrator("doctor", "--json"))[POLLS, "TLS certificate"]

    assert found["state"] == "problem"
    assert found["finding"].endswith("UTC, in 0 days")


async def test_doctor_checks_every_address_of_a_service(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolve_replicas(host: str, port: int, *options: Any, **more: Any) -> Any:
        addresses = ("127.0.0.1", "127.0.0.2") if host == "polls.example" else (host,)
        return [info for address in addresses for info in resolve(address, port, *options, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_replicas)
    port = polls.base.rpartition(":")[2]
    monkeypatch.setenv("POLLS_REPLICAS_URL", f"http://polls.example:{port}")

    found = _states(await integrator("doctor", "--json"))

    assert found["polls at 127.0.0.1", "readiness"] == "ok"
    assert found["polls at 127.0.0.2", "answers"] == "problem"


async def _audit_head(authority: Authority) -> str:
    head = (await authority.manage("POST", "/v1/audit/verify", {})).json["head"]
    return f"{head['seq']}:{head['hash']}"


def _findings(result: CommandResult) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(each["part"], each["check"]): each for each in msgspec.json.decode(result.out)["findings"]}


def _states(result: CommandResult) -> dict[tuple[str, str], str]:
    return {key: each["state"] for key, each in _findings(result).items()}
