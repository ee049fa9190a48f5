"""Migration files must not change once they are applied: each has its checksum in the database."""

import hashlib
from pathlib import Path

import pytest

from pollgate.stack.errors import StackError
from pollgate.stack.migrate import SCHEMAS, migrate_all
from services.polls.storage.schema import SCHEMA as POLLS
from shared.runtime.postgres.migrations import ChangedMigration, Schema, migrate
from tests.support.databases import ROLE_PASSWORD, ClonedDatabase, role_passwords
from tests.support.postgres import fetch

pytestmark = pytest.mark.own_database

CHECKSUMS = "SELECT name, checksum FROM polls.schema_migrations ORDER BY name"
OLD_INSERT = "INSERT INTO polls.schema_migrations (name) VALUES ('0002_two.sql')"


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    """Return a schema of two small migrations, in files that a test may change."""
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE polls.one (id int);\n")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE polls.two (id int);\n")
    return Schema("polls", tmp_path)


def compute_checksums(schema: Schema) -> list[tuple[str, str]]:
    return [(name, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in schema.files().items()]


async def read_checksums(database: ClonedDatabase) -> list[tuple[str, str | None]]:
    return [tuple(row) for row in await fetch(database.admin_url, CHECKSUMS)]


async def apply(database: ClonedDatabase, schema: Schema) -> list[str]:
    return await migrate(database.admin_url, schema, ROLE_PASSWORD)


async def test_migrate_records_the_checksum_of_each_file(empty_database: ClonedDatabase, schema: Schema) -> None:
    assert await apply(empty_database, schema) == ["0001_one.sql", "0002_two.sql"]

    assert await read_checksums(empty_database) == compute_checksums(schema)
    assert await apply(empty_database, schema) == []


async def test_migrations_of_both_services_have_checksums(database: ClonedDatabase) -> None:
    for schema in SCHEMAS:
        rows = await fetch(
            database.admin_url,
            f"SELECT name, checksum FROM {schema.name}.schema_migrations ORDER BY name",
        )
        assert [tuple(row) for row in rows] == compute_checksums(schema)


async def test_changed_migration_is_refused_and_nothing_is_applied(
    empty_database: ClonedDatabase, schema: Schema
) -> None:
    await apply(empty_database, schema)
    before = await read_checksums(empty_database)
    (schema.migrations / "0002_two.sql").write_text("CREATE TABLE polls.two (id bigint);\n")
    (schema.migrations / "0003_three.sql").write_text("CREATE TABLE polls.three (id int);\n")

    with pytest.raises(ChangedMigration) as refused:
        await apply(empty_database, schema)

    assert str(refused.value) == (
        "0002_two.sql of schema polls has changed since it was applied; restore the file as it was released, and put "
        "what is to change into a new migration"
    )
    assert await read_checksums(empty_database) == before
    assert await fetch(empty_database.admin_url, "SELECT to_regclass('polls.three') AS found") == [(None,)]


async def test_restored_file_is_accepted_again(empty_database: ClonedDatabase, schema: Schema) -> None:
    await apply(empty_database, schema)
    file = schema.migrations / "0001_one.sql"
    released = file.read_bytes()
    file.write_text("SELECT 1")
    with pytest.raises(ChangedMigration):
        await apply(empty_database, schema)

    file.write_bytes(released)

    assert await apply(empty_database, schema) == []


async def test_changed_migration_is_an_error_of_the_command(database: ClonedDatabase) -> None:
    await fetch(
        database.admin_url, "UPDATE polls.schema_migrations SET checksum = 'x' WHERE name = $1", min(POLLS.files())
    )

    with pytest.raises(StackError, match=rf"^{min(POLLS.files())} of schema polls has changed .* a new migration$"):
        await migrate_all(database.admin_url, role_passwords())


async def test_database_of_a_release_without_checksums_gets_them(
    empty_database: ClonedDatabase, schema: Schema
) -> None:
    await apply(empty_database, schema)
    await fetch(empty_database.admin_url, "ALTER TABLE polls.schema_migrations DROP COLUMN checksum")

    assert await apply(empty_database, schema) == []

    assert await read_checksums(empty_database) == compute_checksums(schema)


async def test_row_that_an_old_release_adds_later_gets_a_checksum(
    empty_database: ClonedDatabase, schema: Schema
) -> None:
    """While old and new code run together, the old release may still be the one that migrates."""
    second = schema.migrations / "0002_two.sql"
    content = second.read_bytes()
    second.unlink()
    await apply(empty_database, schema)
    second.write_bytes(content)
    await fetch(empty_database.admin_url, OLD_INSERT)

    assert await apply(empty_database, schema) == []

    assert await read_checksums(empty_database) == compute_checksums(schema)
