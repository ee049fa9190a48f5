"""Tokens in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from services.token_authority.domain.revocation import Revoked
from services.token_authority.domain.scope_index import index_keys
from services.token_authority.domain.token import Token, TokenLookup, TokensAsOf, fold
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from services.token_authority.storage.secrets import SECRET_COLUMNS, read_secret
from shared.contract.scope import parse_scope
from shared.runtime.postgres.database import Connection, Row

TOKEN_COLUMNS: Final = """
    t.id, t.site_id, t.name, t.description, t.owner, t.scopes, t.allow_query, t.allowed_ips, t.rate_limit, t.metadata,
    t.hint, t.created_by, t.created_at, t.expires_at, t.disabled_at, t.disabled_by, t.disabled_reason, t.revoked_at,
    t.revoked_by, t.revoked_reason, t.revoked_text, t.late_use_at, t.enabled_at, t.self_rotation
"""

_INSERT: Final = """
    -- insert_token: a new token
    INSERT INTO token_authority.token (
        id, site_id, name, description, folded, owner, scopes, reach, allow_query, allowed_ips, rate_limit, metadata,
        self_rotation, hint, created_by, created_at, expires_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_INSERT_USE: Final = """
    -- insert_token_use: the counts of a new token
    INSERT INTO token_authority.token_use (token_id, uses, owner, made_at) VALUES ($1, 0, $2, $3)
"""
_SELECT: Final = f"""
    -- select_token: one token
    SELECT {TOKEN_COLUMNS} FROM token_authority.token t WHERE t.id = $1
"""  # noqa: S608
_LOCK: Final = f"""
    -- lock_token: one token, locked until the transaction ends
    SELECT {TOKEN_COLUMNS} FROM token_authority.token t WHERE t.id = $1 FOR UPDATE
"""  # noqa: S608
_UPDATE: Final = """
    -- update_token: the fields of a token that may change; the caller has locked it
    UPDATE token_authority.token
    SET name = $2, description = $3, folded = $4, owner = $5, scopes = $6, reach = $7, allow_query = $8,
        allowed_ips = $9, rate_limit = $10, metadata = $11, self_rotation = $12, hint = $13, expires_at = $14,
        disabled_at = $15, disabled_by = $16, disabled_reason = $17, enabled_at = $18
    WHERE id = $1
"""
_UPDATE_OWNER: Final = """
    -- update_owner: the owner of a token in the row of its counts
    UPDATE token_authority.token_use SET owner = $2 WHERE token_id = $1 AND owner <> $2
"""
_SELECT_BY_DIGESTS: Final = f"""
    -- select_tokens_by_digests: secrets, their tokens and endpoints, the newest change, and whether the database was
    -- restored, from one snapshot
    SELECT state.as_of, state.is_restored, {TOKEN_COLUMNS}, {SECRET_COLUMNS}, i.endpoint_id
    FROM (SELECT (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) AS as_of, {IS_RESTORED}) AS state
    LEFT JOIN (
        token_authority.secret s
        JOIN token_authority.token t ON t.id = s.holder_id
        JOIN token_authority.site i ON i.id = t.site_id
    ) ON s.digest = ANY ($1) AND s.holder_kind = 'token'
"""  # noqa: S608
_SELECT_IDS_BY_DIGESTS: Final = f"""
    -- select_ids_by_digests: the token id of each known secret, whether the secret works, and whether the database was
    -- restored
    SELECT state.is_restored, s.holder_id, NOT s.ended AND (s.ends_at IS NULL OR s.ends_at > $2) AS works
    FROM (SELECT {IS_RESTORED}) AS state
    LEFT JOIN token_authority.secret s ON s.digest = ANY ($1) AND s.holder_kind = 'token'
"""  # noqa: S608
_LOCK_ALIVE: Final = """
    -- lock_alive: those of these tokens that are not revoked, locked until the transaction ends
    SELECT id FROM token_authority.token WHERE id = ANY ($1) AND revoked_at IS NULL ORDER BY id FOR UPDATE
"""
_SELECT_LATEST_REVOCATION: Final = """
    -- select_latest_revocation: the latest revocation among these tokens. Locking the row makes this a commit, which a
    -- synchronous standby confirms only after the revocation itself.
    SELECT revoked_at, revoked_seq FROM token_authority.token
    WHERE id = ANY ($1) AND revoked_at IS NOT NULL ORDER BY revoked_seq DESC LIMIT 1 FOR UPDATE
"""
_NOTE_LATE_USE: Final = """
    -- note_late_use: a secret of this token was presented after its end
    UPDATE token_authority.token SET late_use_at = $2 WHERE id = $1
"""


async def insert_token(connection: Connection, token: Token) -> None:
    """Store a new token."""
    await connection.execute(
        _INSERT,
        token.id,
        token.site_id,
        *_column_values(token),
        token.hint,
        token.created_by,
        token.created_at,
        token.expires_at,
    )
    await connection.execute(_INSERT_USE, token.id, token.owner or "", token.created_at)


async def select_token(connection: Connection, token_id: str) -> Token | None:
    """Return the token with this id."""
    row = await connection.fetchrow(_SELECT, token_id)
    return read_token(row) if row else None


async def lock_token(connection: Connection, token_id: str) -> Token | None:
    """Return the token with this id, locked until the transaction ends."""
    row = await connection.fetchrow(_LOCK, token_id)
    return read_token(row) if row else None


async def update_token(connection: Connection, token: Token) -> None:
    """Store the fields of a token that may change. The caller has locked it."""
    await connection.execute(
        _UPDATE,
        token.id,
        *_column_values(token),
        token.hint,
        token.expires_at,
        token.disabled_at,
        token.disabled_by,
        token.disabled_reason,
        token.enabled_at,
    )
    await connection.execute(_UPDATE_OWNER, token.id, token.owner or "")


async def select_tokens_by_digests(connection: Connection, digests: Collection[bytes]) -> TokensAsOf:
    """Return the tokens with these secrets, by digest. Unknown digests are left out. Raise `Restored`."""
    rows = await connection.fetch(_SELECT_BY_DIGESTS, digests)
    require_not_restored(rows[0])
    as_of: int = rows[0]["as_of"]
    found = [
        TokenLookup(read_token(row), read_secret(row), row["endpoint_id"], as_of)
        for row in rows
        if row["id"] is not None
    ]
    return TokensAsOf({lookup.secret.digest: lookup for lookup in found}, as_of)


async def select_ids_by_digests(
    connection: Connection, digests: Sequence[bytes], now: datetime
) -> list[tuple[str, bool]]:
    """Return for each known secret the id of its token and whether the secret works. Raise `Restored`."""
    rows = await connection.fetch(_SELECT_IDS_BY_DIGESTS, digests, now)
    require_not_restored(rows[0])
    return [(row["holder_id"], row["works"]) for row in rows if row["holder_id"] is not None]


async def lock_alive(connection: Connection, token_ids: list[str]) -> list[str]:
    """Return the ids of the tokens that are not revoked, in order, locked until the transaction ends."""
    return [row["id"] for row in await connection.fetch(_LOCK_ALIVE, token_ids)]


async def select_latest_revocation(connection: Connection, token_ids: Collection[str]) -> Revoked | None:
    """Return the latest revocation among these tokens; `None` if none is revoked."""
    row = await connection.fetchrow(_SELECT_LATEST_REVOCATION, token_ids)
    return Revoked(row["revoked_at"], row["revoked_seq"]) if row else None


async def note_late_use(connection: Connection, token_id: str, at: datetime) -> None:
    """Store that a secret of this token was presented after its end."""
    await connection.execute(_NOTE_LATE_USE, token_id, at)


def read_token(row: Row) -> Token:
    """Return the token in a row with `TOKEN_COLUMNS`."""
    return Token(
        id=row["id"],
        site_id=row["site_id"],
        name=row["name"],
        description=row["description"],
        owner=row["owner"],
        scopes=tuple(map(parse_scope, row["scopes"])),
        allow_query=row["allow_query"],
        allowed_ips=tuple(row["allowed_ips"]),
        rate_limit=row["rate_limit"],
        metadata=msgspec.json.decode(row["metadata"]),
        hint=row["hint"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        disabled_at=row["disabled_at"],
        disabled_by=row["disabled_by"],
        disabled_reason=row["disabled_reason"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
        revoked_reason=row["revoked_reason"],
        revoked_text=row["revoked_text"],
        late_use_at=row["late_use_at"],
        enabled_at=row["enabled_at"],
        self_rotation=row["self_rotation"],
    )


def _column_values(token: Token) -> tuple[object, ...]:
    """Return the values of the columns from `name` to `self_rotation`, in the order of the statements."""
    return (
        token.name,
        token.description,
        fold(f"{token.name}\n{token.description}\n{token.owner or ''}"),
        token.owner,
        [str(scope) for scope in token.scopes],
        index_keys(token.scopes),
        token.allow_query,
        list(token.allowed_ips),
        token.rate_limit,
        msgspec.json.encode(token.metadata).decode(),
        token.self_rotation,
    )
