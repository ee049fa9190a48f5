"""The text of each token that searches compare, in PostgreSQL."""

from typing import Final

from shared.runtime.postgres.database import Connection

_COMPLETE: Final = """
    -- complete_search_texts: complete the texts of the next tokens by id; tokens locked by others are skipped
    WITH next AS (SELECT id FROM token_authority.token WHERE id > $1 ORDER BY id LIMIT $2),
    incomplete AS (
        SELECT t.id FROM token_authority.token t JOIN next ON next.id = t.id
        WHERE t.folded <> token_authority.search_text(t.folded, t.owner)
        ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED
    ),
    completed AS (
        UPDATE token_authority.token t SET folded = token_authority.search_text(t.folded, t.owner)
        FROM incomplete WHERE t.id = incomplete.id
    )
    SELECT max(id) AS last FROM next
"""


async def complete_search_texts(connection: Connection, after: str, limit: int) -> str | None:
    """Complete the texts of up to `limit` tokens after this id. Return the last id; `None` if there are no more."""
    (row,) = await connection.fetch(_COMPLETE, after, limit)
    last: str | None = row["last"]
    return last
