"""Migrate a database of an earlier release with its data."""

import shutil
from pathlib import Path
from typing import Any

from pollgate.stack.migrate import migrate_all
from services.polls.storage.schema import SCHEMA as POLLS_SCHEMA
from services.token_authority.domain.scope_index import index_keys
from services.token_authority.storage.schema import SCHEMA
from shared.contract.scope import Scope
from shared.contract.token import digest, mint
from shared.runtime.postgres.migrations import Schema, migrate
from tests.support.databases import ClonedDatabase, role_passwords
from tests.support.postgres import fetch
from tests.support.stack import Authority, basic_auth, run_polls_service, run_token_authority

EARLIER = {
    SCHEMA: ("0001_tokens.sql", "0002_exact_revocation.sql", "0003_signing_key_renewal.sql"),
    POLLS_SCHEMA: ("0001_polls.sql",),
}
SCOPES = ("polls:*:*", "polls:read,vote:PLAT", "polls:read:SPACE/12345/macro%2F7")

INSERT_TOKEN = """
    INSERT INTO token_authority.token (id, site_id, name, scopes, digest, hint, created_by, created_at)
    VALUES ($1, 'site_1', $2, $3, $4, 'pgt_…x', 'adm_1', now())
"""


INSERT_POLL = """
    INSERT INTO polls.poll (id, site, workspace, content, container, title, description, options, settings)
    VALUES (gen_random_uuid(), $1, 'PLAT', 'PLAT-1', '', $2, '', '[{"id": "y", "title": "Yes", "order": 0}]', $3)
"""


async def create_earlier_release(database: ClonedDatabase, folder: Path, *statements: tuple[Any, ...]) -> None:
    """Create the schemas of the earlier release, and run the statements, which insert rows."""
    for schema, names in EARLIER.items():
        earlier = folder / schema.name
        earlier.mkdir()
        for name in names:
            shutil.copy(schema.migrations / name, earlier)
        await migrate(database.admin_url, Schema(schema.name, earlier), role_passwords()[schema])
    for statement, *arguments in statements:
        await fetch(database.admin_url, statement, *arguments)


async def test_tokens_keys_and_services_of_earlier_release_work_after_migration(
    empty_database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    token, dead, admin_key, secret = mint("pgt"), mint("pgt"), mint("pga"), mint("pgs")
    await create_earlier_release(
        empty_database,
        tmp_path,
        ("INSERT INTO token_authority.site VALUES ('site_1', 'Mine', $1, now())", "e" * 27),
        ("INSERT INTO token_authority.admin_key VALUES ('adm_1', $1)", digest(admin_key)),
        ("INSERT INTO token_authority.service VALUES ('reports', $1)", digest(secret)),
        (INSERT_TOKEN, "tok_1", "One", SCOPES, digest(token)),
        (INSERT_TOKEN, "tok_2", "Two", SCOPES, digest(dead)),
        ("INSERT INTO token_authority.change_log (seq, kind, token_id) VALUES (1, 'revoked', 'tok_2')",),
        ("UPDATE token_authority.token SET revoked_at = now(), revoked_seq = 1 WHERE id = 'tok_2'",),
        ("INSERT INTO token_authority.token_use VALUES ('tok_1', 7, now())",),
    )

    await migrate_all(empty_database.admin_url, role_passwords())

    (tmp_path / "admin.key").write_text(admin_key)
    async with run_token_authority(empty_database, redis_url, tmp_path) as authority:
        introspected = await authority.introspect(token, "reports", secret)
        assert introspected.json["scope"].split() == list(SCOPES)
        assert (await authority.introspect(dead, "reports", secret)).json == {"active": False}
        await _assert_token_is_found(authority)
        assert (await authority.revoke("tok_1"))["seq"] == 2
        sync = {"applied": 0, "usage": list[str]()}
        headers = basic_auth("reports", secret)
        changes = (await authority("POST", f"/v1/guards/{'g' * 16}/sync", headers=headers, json=sync)).json["changes"]
        assert [change["digest"] for change in changes] == [digest(dead).hex(), digest(token).hex()]


async def _assert_token_is_found(authority: Authority) -> None:
    found = (await authority.manage("GET", "/v1/tokens?search=ONE&scope=PLAT&status=active")).json["items"]
    assert [(each["id"], each["uses"], each["created_by"]) for each in found] == [("tok_1", 7, "admin_key:adm_1")]


async def test_migration_indexes_scopes_as_for_new_tokens(empty_database: ClonedDatabase, tmp_path: Path) -> None:
    await create_earlier_release(
        empty_database,
        tmp_path,
        ("INSERT INTO token_authority.site VALUES ('site_1', 'Mine', $1, now())", "e" * 27),
        ("INSERT INTO token_authority.admin_key VALUES ('adm_1', sha256('x'))",),
        *((INSERT_TOKEN, f"tok_{scope}", "x", [scope], digest(scope)) for scope in SCOPES),
    )

    await migrate_all(empty_database.admin_url, role_passwords())

    rows = await fetch(empty_database.admin_url, "SELECT scopes, reach FROM token_authority.token")
    assert len(rows) == len(SCOPES)
    for row in rows:
        assert sorted(row["reach"]) == index_keys(Scope.parse(scope) for scope in row["scopes"])


async def test_polls_of_earlier_release_take_votes_and_close_on_end_date(
    empty_database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    token, admin_key, site = mint("pgt"), mint("pga"), "site_1"
    ended = {"Open": "", "Over": "2026-01-01", "Over since": "2026-01-01T12:00:00+02:00", "To come": "2999-12-31"}
    await create_earlier_release(
        empty_database,
        tmp_path,
        ("INSERT INTO token_authority.site VALUES ('site_1', 'Mine', $1, now())", "e" * 27),
        ("INSERT INTO token_authority.admin_key VALUES ('adm_1', $1)", digest(admin_key)),
        (INSERT_TOKEN, "tok_1", "One", SCOPES, digest(token)),
        *(
            (INSERT_POLL, site, title, f'{{"end_date": "{end}", "close_poll_on_end_date": {str(bool(end)).lower()}}}')
            for title, end in ended.items()
        ),
    )

    await migrate_all(empty_database.admin_url, role_passwords())

    (tmp_path / "admin.key").write_text(admin_key)
    async with (
        run_token_authority(empty_database, redis_url, tmp_path) as authority,
        run_polls_service(empty_database, redis_url, authority.base) as polls,
    ):
        polls.token = token
        found = (await polls.v1("GET", "/polls", expand="results")).json["items"]
        statuses = {poll["title"]: poll["status"] for poll in found}
        closed = {poll["title"] for poll in (await polls.v1("GET", "/polls", status="closed")).json["items"]}
        assert statuses == {"Open": "open", "Over": "closed", "Over since": "closed", "To come": "open"}
        assert closed == {"Over", "Over since"}
        assert (await polls.vote(found[0]["id"], "ada", "y")).status == 201
        assert (await polls.get_results(found[0]["id"]))["votes"] == 1
