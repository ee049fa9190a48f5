"""Tokens in PostgreSQL."""

from typing import Final, NamedTuple

from services.token_authority.domain.selection import Selection
from services.token_authority.domain.token import Ended, IssuedToken, Token
from shared.contract.scope import Scope
from shared.runtime.postgres import Executor, Row

_COLUMNS: Final = "id, site_id, name, scopes, hint, created_by, created_at, expires_at, revoked_at, owner"

_INSERT: Final = f"""
    -- insert_token: a new token, its secret as a digest
    INSERT INTO token_authority.token ({_COLUMNS}, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
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
    -- select_token_by_digest: the token of a secret, with its site's endpoint and the newest change, of one moment
    SELECT t.id, t.site_id, t.name, t.scopes, t.hint, t.created_by, t.created_at, t.expires_at, t.revoked_at, t.owner,
           s.endpoint_id, (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) AS as_of
    FROM token_authority.token t JOIN token_authority.site s ON s.id = t.site_id
    WHERE t.digest = $1
"""
_LOCK_ALIVE: Final = """
    -- lock_alive: of these tokens those not revoked yet, which nobody else can revoke until this transaction ends
    SELECT id FROM token_authority.token WHERE id = ANY ($1) AND revoked_at IS NULL ORDER BY id FOR UPDATE
"""
_SELECT_MATCHING: Final = """
    -- select_matching: a page of tokens by id, revoked ones too, that meet every condition that is not null
    SELECT t.id, CASE WHEN $8 THEN t.scopes ELSE '{}' END AS scopes
    FROM token_authority.token t LEFT JOIN token_authority.token_use u ON u.token_id = t.id
    WHERE t.id > $1
      AND ($2::text[] IS NULL OR t.id = ANY ($2))
      AND ($3::text IS NULL OR t.owner = $3)
      AND ($4::text IS NULL OR t.site_id = $4)
      AND ($5::timestamptz IS NULL OR t.created_at < $5)
      AND ($6::timestamptz IS NULL OR coalesce(u.last_used_at, '-infinity') < $6)
    ORDER BY t.id LIMIT $7
"""
_SELECT_NEWEST_END: Final = """
    -- select_newest_end: when the last revoked of these tokens was revoked, and by which change; the row's lock makes
    -- it a commit, which a synchronous standby has to confirm, and with it the revocation that it reads of
    SELECT revoked_at, revoked_seq FROM token_authority.token
    WHERE id = ANY ($1) AND revoked_at IS NOT NULL ORDER BY revoked_seq DESC LIMIT 1 FOR UPDATE
"""


class Known(NamedTuple):
    """A token with the endpoint id of its site, as of the change of this `seq`."""

    token: Token
    endpoint_id: str
    as_of: int


async def insert_token(executor: Executor, issued: IssuedToken) -> None:
    """Keep a new token."""
    token = issued.token
    await executor.execute(
        _INSERT,
        *(token.id, token.site_id, token.name, [str(scope) for scope in token.scopes], token.hint),
        *(token.created_by, token.created_at, token.expires_at, token.revoked_at, token.owner, issued.digest),
    )


async def select_tokens(executor: Executor, after: tuple[str, str], limit: int) -> list[Token]:
    """Up to `limit` tokens by name and id, from behind the name and id given; `("", "")` begins."""
    return [_token(row) for row in await executor.fetch(_SELECT_PAGE, *after, limit)]


async def select_token(executor: Executor, token_id: str) -> Token | None:
    """The token of this id."""
    row = await executor.fetchrow(_SELECT, token_id)
    return _token(row) if row else None


async def select_token_by_digest(executor: Executor, digest: bytes) -> Known | None:
    """The token whose secret has this SHA-256."""
    row = await executor.fetchrow(_SELECT_BY_DIGEST, digest)
    return Known(_token(row), row["endpoint_id"], row["as_of"]) if row else None


async def lock_alive(executor: Executor, token_ids: list[str]) -> list[str]:
    """Those of the tokens that are not revoked, in the order of their ids, held until the transaction ends."""
    return [row["id"] for row in await executor.fetch(_LOCK_ALIVE, token_ids)]


async def select_matching(
    executor: Executor, selection: Selection, after: str, limit: int
) -> list[tuple[str, tuple[Scope, ...]]]:
    """Up to `limit` ids of tokens, dead or alive, behind the id given, by every condition but that on scopes.

    Their scopes come along where the selection asks for some.
    """
    conditions = (
        selection.ids,
        selection.owner,
        selection.site,
        selection.issued_before,
        selection.unused_since,
    )
    rows = await executor.fetch(_SELECT_MATCHING, after, *conditions, limit, selection.scope is not None)
    return [(row["id"], tuple(map(Scope.parse, row["scopes"]))) for row in rows]


async def select_newest_end(executor: Executor, token_ids: list[str]) -> Ended | None:
    """The newest of these tokens' revocations; `None` where each is unknown or alive."""
    row = await executor.fetchrow(_SELECT_NEWEST_END, token_ids)
    return Ended(row["revoked_at"], row["revoked_seq"]) if row else None


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
        owner=row["owner"],
    )
