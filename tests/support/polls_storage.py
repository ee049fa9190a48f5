"""Store in the database of the polls service what would take many requests."""

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch


async def add_audit_records(database: ClonedDatabase, count: int) -> None:
    """Repeat the first record of the only audit trail `count` times."""
    statement = """
        INSERT INTO polls.audit_log
        SELECT (jsonb_populate_record(log, jsonb_build_object('seq', number))).*
        FROM polls.audit_log AS log, generate_series(2, $1 + 1) AS number
    """
    await fetch(database.admin_url, statement, count)


async def store_responses(database: ClonedDatabase, token_id: str, count: int, size: int = 0) -> None:
    """Store `count` responses under idempotency keys of a token, with a body of `size` bytes each."""
    statement = """
        INSERT INTO polls.answer (token_id, key, fingerprint, status, headers, body)
        SELECT $1, 'stored ' || number, '', 200, '{}', decode(repeat('00', $3), 'hex')
        FROM generate_series(1, $2) AS number
    """
    await fetch(database.admin_url, statement, token_id, count, size)
