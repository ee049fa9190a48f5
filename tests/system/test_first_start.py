"""The first start on an empty database: migrations, the first site and admin key, and the rights of the roles."""

import asyncio
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from pollgate.stack.errors import StackError
from pollgate.stack.migrate import SCHEMAS, migrate_all
from services.polls.storage.schema import SCHEMA as POLLS
from shared.runtime.postgres.migrations import NotMigrated
from shared.runtime.process.environment import SettingsError
from tests.support.databases import ClonedDatabase, role_passwords
from tests.support.postgres import fetch
from tests.support.processes import authority_settings, run_service
from tests.support.stack import Authority, run_token_authority

pytestmark = pytest.mark.own_database


async def test_concurrent_first_starts_on_empty_database_both_succeed(
    empty_database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    settings = authority_settings(empty_database, redis_url, tmp_path)

    async def start(stack: AsyncExitStack) -> str:
        await migrate_all(empty_database.admin_url, role_passwords())
        return (await stack.enter_async_context(run_service("token_authority", settings, output))).base

    async with AsyncExitStack() as one, AsyncExitStack() as two:
        bases = await asyncio.gather(start(one), start(two))

        key_file = tmp_path / "admin.key"
        for base in bases:
            async with aiohttp.ClientSession() as session:
                authority = Authority(session, base)
                authority.admin_key = key_file.read_text().strip()
                assert len((await authority.manage("GET", "/v1/sites")).json["items"]) == 1
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    for table in ("site", "admin_key", "service", "signing_key"):
        rows = await fetch(empty_database.admin_url, f"SELECT count(*) AS n FROM token_authority.{table}")
        assert rows[0]["n"] == 1


async def test_concurrent_migrations_apply_each_file_once(empty_database: ClonedDatabase) -> None:
    lines = await asyncio.gather(*(migrate_all(empty_database.admin_url, role_passwords()) for _ in range(8)))

    applied = [line for each in lines for line in each if "applied" in line]
    assert len(applied) == len(SCHEMAS)
    assert len(await fetch(empty_database.admin_url, "SELECT name FROM polls.schema_migrations")) == len(POLLS.files())


async def test_migration_of_newer_database_fails(database: ClonedDatabase) -> None:
    await fetch(database.admin_url, "INSERT INTO polls.schema_migrations VALUES ('9999_the_future.sql')")

    with pytest.raises(StackError, match=r"9999_the_future\.sql.*newer release"):
        await migrate_all(database.admin_url, role_passwords())


async def test_start_on_database_without_migrations_fails_with_remedy(
    empty_database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(NotMigrated, match="run `pollgate migrate` first"):
        async with run_token_authority(empty_database, redis_url, tmp_path):
            pass


async def test_start_reuses_admin_key_file_left_by_crash(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path) as authority:
        key = authority.admin_key
    for table in ("admin_key", "secret"):
        await fetch(database.admin_url, f"DELETE FROM token_authority.{table}")

    async with run_token_authority(database, redis_url, tmp_path) as again:
        assert again.admin_key == key
        assert (await again.manage("GET", "/v1/sites")).status == 200


async def test_start_refuses_admin_key_file_that_others_could_have_exchanged(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path):
        pass
    for table in ("admin_key", "secret"):
        await fetch(database.admin_url, f"DELETE FROM token_authority.{table}")
    (tmp_path / "admin.key").chmod(0o666)

    with pytest.raises(SettingsError, match="ADMIN_KEY_FILE: other users can change the file; run chmod go-w on it"):
        async with run_token_authority(database, redis_url, tmp_path):
            pass


async def test_first_start_with_control_character_in_name_of_site_fails_and_names_it(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"FIRST_SITE_NAME: this contains the control character U\+0007"):
        async with run_token_authority(database, redis_url, tmp_path, first_site_name="a\u0007b"):
            pass

    async with run_token_authority(database, redis_url, tmp_path, first_site_name=" Cafe\u0301 ") as authority:
        sites = await authority.manage("GET", "/v1/sites")

    assert [site["name"] for site in sites.json["items"]] == ["Café"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM token_authority.token",
        "SELECT * FROM token_authority.change_log",
        "SELECT * FROM token_authority.signing_key",
        "CREATE TABLE polls.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "DROP TABLE polls.poll",
        "INSERT INTO polls.schema_migrations VALUES ('x')",
        "SET ROLE token_authority",
        "CREATE ROLE more",
    ],
)
async def test_polls_role_has_no_rights_beyond_polls(database: ClonedDatabase, statement: str) -> None:
    assert await fetch(database.polls_url, "SELECT * FROM polls.poll") == []

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database.polls_url, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM polls.poll",
        "UPDATE token_authority.token SET site_id = 'x'",
        "UPDATE token_authority.secret SET holder_id = 'x'",
        "UPDATE token_authority.change_log SET token_id = 'x'",
        "UPDATE token_authority.change_log SET id = gen_random_uuid()",
        "UPDATE token_authority.restoration SET expected_seq = 0",
        "DELETE FROM token_authority.restoration",
        "DELETE FROM token_authority.reported_change",
        "DELETE FROM token_authority.admin_key",
        "UPDATE token_authority.signing_key SET public_key = sha256('x')",
        "UPDATE token_authority.signing_key SET signs_from = now()",
        "INSERT INTO token_authority.signing_key (kid, created_at) VALUES ('x', now())",
    ],
)
async def test_authority_role_cannot_rewrite_issued_tokens(database: ClonedDatabase, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database.token_authority_url, statement)


@pytest.mark.parametrize(
    "change",
    [
        "scopes = '{polls:*:*}'",
        "scopes = '{polls:read,create:PLAT/PLAT-1}'",
        "scopes = '{polls:read:PLAT/PLAT-1,polls:read:OPS}'",
        "scopes = '{polls:read:PLAT/PLAT-10}'",
        "expires_at = NULL",
        "expires_at = expires_at + interval '1 day'",
        "revoked_at = NULL",
        "revoked_at = now()",
    ],
)
async def test_authority_role_cannot_extend_or_revive_token(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, change: str
) -> None:
    async with run_token_authority(database, redis_url, tmp_path) as authority:
        issued = await authority.issue("polls:read:PLAT/PLAT-1", expires_in="7d")
        await authority.revoke(issued["id"])

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database.token_authority_url, f"UPDATE token_authority.token SET {change}")
