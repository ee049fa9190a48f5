"""How often and when tokens have been used, in PostgreSQL."""

from typing import Final

from shared.contract.sync import TokenUse
from shared.runtime.postgres import Executor

_ADD: Final = """
    -- add_uses: what guards have counted; tokens in order, so that two of these cannot block each other
    INSERT INTO token_authority.token_use AS known (token_id, uses, last_used_at)
    SELECT t.id, counted.uses, clock_timestamp() - counted.ms_ago * interval '1 millisecond'
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS counted (token_id, uses, ms_ago)
    JOIN token_authority.token t ON t.id = counted.token_id
    ORDER BY t.id
    ON CONFLICT (token_id) DO UPDATE
    SET uses = known.uses + EXCLUDED.uses, last_used_at = greatest(known.last_used_at, EXCLUDED.last_used_at)
"""


async def add_uses(executor: Executor, usage: list[TokenUse]) -> None:
    """Add to the tokens' counts; unknown tokens are passed over."""
    by_token = {use.token_id: use for use in usage}
    await executor.execute(
        _ADD,
        list(by_token),
        [use.uses for use in by_token.values()],
        [min(use.last_used_ms_ago, _LONGEST_MS) for use in by_token.values()],
    )


_LONGEST_MS: Final = 10 * 365 * 86_400_000
