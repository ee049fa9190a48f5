"""Tokens in PostgreSQL."""

from datetime import datetime
from typing import Final

from services.token_authority.domain.token import IssuedToken, Token
from shared.contract.scope import Scope
from shared.runtime.postgres import Executor, Row

_COLUMNS: Final = "id, site_id, name, scopes, hint, created_by, created_at, expires_at, revoked_at"

_INSERT: Final = f"""
    -- insert_token: a new token, its secret as a digest
    INSERT INTO token_authority.token ({_COLUMNS}, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""  # noqa: S608
_SELECT_PAGE: Final = f"""
    -- select_tokens: a page of tokens by name, from behind the one given
    SELECT {_COLUMNS} FROM token_authority.token WHERE (name, id) > ($1, $2) ORDER BY name, id LIMIT $3
"""  # noqa: S608
_SELECT: Final = f"""
    -- select_token: one token
    SELECT {_COLUMNS} FROM token_authority.token WHERE id = $1
"""  # noqa: S608
_SELECT_BY_DIGEST: Final = """
    -- select_token_by_digest: the token of a secret, with its site's endpoint
    SELECT t.id, t.site_id, t.name, t.scopes, t.hint, t.created_by, t.created_at, t.expires_at, t.revoked_at,
           s.endpoint_id
    FROM token_authority.token t JOIN token_authority.site s ON s.id = t.site_id
    WHERE t.digest = $1
"""
_REVOKE: Final = """
    -- revoke_token: end a token that has not been revoked yet
    UPDATE token_authority.token SET revoked_at = clock_timestamp()
    WHERE id = $1 AND revoked_at IS NULL RETURNING revoked_at
"""


async def insert_token(executor: Executor, issued: IssuedToken) -> None:
    """Keep a new token."""
    token = issued.token
    await executor.execute(
        _INSERT,
        *(token.id, token.site_id, token.name, [str(scope) for scope in token.scopes], token.hint),
        *(token.created_by, token.created_at, token.expires_at, token.revoked_at, issued.digest),
    )


async def select_tokens(executor: Executor, after: tuple[str, str], limit: int) -> list[Token]:
    """Up to `limit` tokens by name and id, from behind the name and id given; `("", "")` begins."""
    return [_token(row) for row in await executor.fetch(_SELECT_PAGE, *after, limit)]


async def select_token(executor: Executor, token_id: str) -> Token | None:
    """The token of this id."""
    row = await executor.fetchrow(_SELECT, token_id)
    return _token(row) if row else None


async def select_token_by_digest(executor: Executor, digest: bytes) -> tuple[Token, str] | None:
    """The token whose secret has this SHA-256, and the endpoint id of its site."""
    row = await executor.fetchrow(_SELECT_BY_DIGEST, digest)
    return (_token(row), row["endpoint_id"]) if row else None


async def revoke_token(executor: Executor, token_id: str) -> datetime | None:
    """End the token; when, by the database's clock. `None` where it is unknown or has been revoked before."""
    row = await executor.fetchrow(_REVOKE, token_id)
    return row["revoked_at"] if row else None


def _token(row: Row) -> Token:
    return Token(
        id=row["id"],
        site_id=row["site_id"],
        name=row["name"],
        scopes=tuple(map(Scope.parse, row["scopes"])),
        hint=row["hint"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
