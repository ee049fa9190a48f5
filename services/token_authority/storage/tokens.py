"""Tokens in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from services.token_authority.domain.reach import reach_of
from services.token_authority.domain.secret import Secret
from services.token_authority.domain.token import Ended, Token, searchable
from services.token_authority.storage.secrets import SECRET_COLUMNS, secret_of
from shared.contract.scope import Scope
from shared.runtime.postgres.database import Connection, Row

TOKEN_COLUMNS: Final = """
    t.id, t.site_id, t.name, t.description, t.owner, t.scopes, t.allow_query, t.allowed_ips, t.rate_limit, t.metadata,
    t.hint, t.created_by, t.created_at, t.expires_at, t.disabled_at, t.disabled_by, t.disabled_reason, t.revoked_at,
    t.revoked_by, t.revoked_reason, t.revoked_text, t.late_use_at, t.enabled_at
"""

_INSERT: Final = """
    -- insert_token: a new token
    INSERT INTO token_authority.token (
        id, site_id, name, description, folded, owner, scopes, reach, allow_query, allowed_ips, rate_limit, metadata,
        hint, created_by, created_at, expires_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
_INSERT_USE: Final = """
    -- insert_token_use: a token that has not been used yet
    INSERT INTO token_authority.token_use (token_id, uses, owner, made_at) VALUES ($1, 0, $2, $3)
"""
_SELECT: Final = f"""
    -- select_token: one token
    SELECT {TOKEN_COLUMNS} FROM token_authority.token t WHERE t.id = $1
"""  # noqa: S608
_LOCK: Final = f"""
    -- lock_token: one token, which nobody else can change until this transaction ends
    SELECT {TOKEN_COLUMNS} FROM token_authority.token t WHERE t.id = $1 FOR UPDATE
"""  # noqa: S608
_UPDATE: Final = """
    -- update_token: what may be changed of a token; the caller has locked it
    UPDATE token_authority.token
    SET name = $2, description = $3, folded = $4, owner = $5, scopes = $6, reach = $7, allow_query = $8,
        allowed_ips = $9, rate_limit = $10, metadata = $11, hint = $12, expires_at = $13, disabled_at = $14,
        disabled_by = $15, disabled_reason = $16, enabled_at = $17
    WHERE id = $1
"""
_UPDATE_OWNER: Final = """
    -- update_owner: whose token it is, beside its uses
    UPDATE token_authority.token_use SET owner = $2 WHERE token_id = $1 AND owner <> $2
"""
_SELECT_BY_DIGESTS: Final = f"""
    -- select_tokens_by_digests: secrets, their tokens, sites' endpoints, and the newest change, all of one moment
    SELECT {TOKEN_COLUMNS}, {SECRET_COLUMNS}, i.endpoint_id,
           (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) AS as_of
    FROM token_authority.secret s
    JOIN token_authority.token t ON t.id = s.holder_id
    JOIN token_authority.site i ON i.id = t.site_id
    WHERE s.digest = ANY ($1) AND s.holder_kind = 'token'
"""  # noqa: S608
_SELECT_IDS_BY_DIGESTS: Final = """
    -- select_ids_by_digests: the token of each of these secrets that there is, and whether the secret has not ended
    SELECT holder_id, NOT ended AND (ends_at IS NULL OR ends_at > $2) AS works
    FROM token_authority.secret WHERE digest = ANY ($1) AND holder_kind = 'token'
"""
_LOCK_ALIVE: Final = """
    -- lock_alive: of these tokens those not revoked yet, which nobody else can revoke until this transaction ends
    SELECT id FROM token_authority.token WHERE id = ANY ($1) AND revoked_at IS NULL ORDER BY id FOR UPDATE
"""
_SELECT_NEWEST_END: Final = """
    -- select_newest_end: when the last revoked of these tokens was revoked, and by which change; the row's lock makes
    -- it a commit, which a synchronous standby has to confirm, and with it the revocation that it reads of
    SELECT revoked_at, revoked_seq FROM token_authority.token
    WHERE id = ANY ($1) AND revoked_at IS NOT NULL ORDER BY revoked_seq DESC LIMIT 1 FOR UPDATE
"""
_NOTE_LATE_USE: Final = """
    -- note_late_use: a secret of this token has been presented after its end
    UPDATE token_authority.token SET late_use_at = $2 WHERE id = $1
"""


class Known(NamedTuple):
    """A token by one of its secrets, with the endpoint id of its site, as of the change of this `seq`."""

    token: Token
    secret: Secret
    endpoint_id: str
    as_of: int

    def works(self, now: datetime) -> bool:
        """Whether the token, presented by this secret, works."""
        return self.token.status(now) == "active" and self.secret.works(now)


async def insert_token(connection: Connection, token: Token) -> None:
    """Keep a new token."""
    await connection.execute(
        _INSERT,
        *(token.id, token.site_id, *_said(token), token.hint, token.created_by, token.created_at, token.expires_at),
    )
    await connection.execute(_INSERT_USE, token.id, token.owner or "", token.created_at)


async def select_token(connection: Connection, token_id: str) -> Token | None:
    """The token of this id."""
    row = await connection.fetchrow(_SELECT, token_id)
    return token_of(row) if row else None


async def lock_token(connection: Connection, token_id: str) -> Token | None:
    """The same, for the caller's transaction alone."""
    row = await connection.fetchrow(_LOCK, token_id)
    return token_of(row) if row else None


async def update_token(connection: Connection, token: Token) -> None:
    """Keep what may change of a token. The caller holds its lock."""
    await connection.execute(
        _UPDATE,
        *(token.id, *_said(token), token.hint, token.expires_at),
        *(token.disabled_at, token.disabled_by, token.disabled_reason, token.enabled_at),
    )
    await connection.execute(_UPDATE_OWNER, token.id, token.owner or "")


async def select_tokens_by_digests(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Known]:
    """The tokens with secrets that have these SHA-256, by those that there are."""
    rows = await connection.fetch(_SELECT_BY_DIGESTS, digests)
    known = [Known(token_of(row), secret_of(row), row["endpoint_id"], row["as_of"]) for row in rows]
    return {each.secret.digest: each for each in known}


async def select_ids_by_digests(
    connection: Connection, digests: Sequence[bytes], now: datetime
) -> list[tuple[str, bool]]:
    """For each of these secrets that there is the id of its token, and whether the secret has not ended."""
    rows = await connection.fetch(_SELECT_IDS_BY_DIGESTS, digests, now)
    return [(row["holder_id"], row["works"]) for row in rows]


async def lock_alive(connection: Connection, token_ids: list[str]) -> list[str]:
    """Those of the tokens that are not revoked, in the order of their ids, held until the transaction ends."""
    return [row["id"] for row in await connection.fetch(_LOCK_ALIVE, token_ids)]


async def select_newest_end(connection: Connection, token_ids: Collection[str]) -> Ended | None:
    """The newest of these tokens' revocations; `None` where each is unknown or alive."""
    row = await connection.fetchrow(_SELECT_NEWEST_END, token_ids)
    return Ended(row["revoked_at"], row["revoked_seq"]) if row else None


async def note_late_use(connection: Connection, token_id: str, at: datetime) -> None:
    """A secret of this token has been presented after its end."""
    await connection.execute(_NOTE_LATE_USE, token_id, at)


def token_of(row: Row) -> Token:
    """The token in a row that has `TOKEN_COLUMNS`."""
    return Token(
        id=row["id"],
        site_id=row["site_id"],
        name=row["name"],
        description=row["description"],
        owner=row["owner"],
        scopes=tuple(map(Scope.parse, row["scopes"])),
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
    )


def _said(token: Token) -> tuple[object, ...]:
    folded = searchable(f"{token.name}\n{token.description}")
    return (
        *(
            token.name,
            token.description,
            folded,
            token.owner,
            [str(scope) for scope in token.scopes],
            reach_of(token.scopes),
        ),
        *(token.allow_query, list(token.allowed_ips), token.rate_limit, msgspec.json.encode(token.metadata).decode()),
    )
