"""Find the tokens of each kind of finding, in the order of their ids.

The planner chooses for each statement between an index for its kind and a scan by id, depending on how many match.
"""

from typing import Final

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.review import Candidate, Evidence, FindingKind, KeptFinding, Review
from services.token_authority.domain.scope_index import KEYS_EVERYWHERE
from services.token_authority.domain.selection import Selection
from services.token_authority.storage.conditions import ACTIVE, Arguments, conditions
from services.token_authority.storage.kept_findings import IS_KEPT, KEPT, NOT_KEPT
from services.token_authority.storage.selections import SHOWN, TABLES
from services.token_authority.storage.tokens import read_token
from services.token_authority.storage.usage import read_use
from shared.runtime.postgres.database import Connection, Row

_NOTHING: Final = "NULL::timestamptz AS replaced_ends_at, NULL::timestamptz AS late_use_at"
_USED: Final = "coalesce(u.last_used_at, '-infinity')"
_SEEN: Final = "greatest(u.last_used_at, u.made_at)"

_UNUSED: Final = f"""
    -- review_unused: active tokens that were last used before this time
    SELECT t.id, {_NOTHING} FROM {TABLES}
    WHERE {_USED} < {{since}} AND u.last_used_at IS NOT NULL AND t.created_at < {{since}}
      AND {ACTIVE} AND {{within}} AND t.id > {{after}} AND u.token_id > {{after}} ORDER BY u.token_id LIMIT {{limit}}
"""  # noqa: S608
_NEVER_USED: Final = f"""
    -- review_never_used: active tokens that were created before this time and never used
    SELECT t.id, {_NOTHING} FROM {TABLES}
    WHERE u.last_used_at IS NULL AND t.created_at < {{since}}
      AND {ACTIVE} AND {{within}} AND t.id > {{after}} AND u.token_id > {{after}} ORDER BY u.token_id LIMIT {{limit}}
"""  # noqa: S608
_NEVER_EXPIRES: Final = f"""
    -- review_never_expires: active tokens without an expiry
    SELECT t.id, {_NOTHING} FROM token_authority.token t
    WHERE t.expires_at IS NULL AND {ACTIVE} AND {{within}} AND t.id > {{after}} ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_REACHES_ANY: Final = f"""
    -- review_reaches_any: active tokens with a scope for every workspace
    SELECT t.id, {_NOTHING} FROM token_authority.token t
    WHERE t.reach && '{{{{{",".join(KEYS_EVERYWHERE)}}}}}'
      AND {ACTIVE} AND {{within}} AND t.id > {{after}} ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_EXPIRING: Final = f"""
    -- review_expiring: active tokens that expire soon
    SELECT t.id, {_NOTHING} FROM token_authority.token t
    WHERE coalesce(t.expires_at, 'infinity') <= {{soon}}
      AND {ACTIVE} AND {{within}} AND t.id > {{after}} ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_ROTATED: Final = f"""
    -- review_rotated: active tokens with a replaced secret that still works and was used since, or with a secret that
    -- was recently presented after its end
    SELECT t.id, max(s.ends_at) AS replaced_ends_at, max(s.late_use_at) AS late_use_at
    FROM (
        SELECT holder_id, NULL::timestamptz AS ends_at, last_late_use_at AS late_use_at FROM token_authority.secret
        WHERE holder_kind = 'token' AND last_late_use_at >= {{late}}
        UNION ALL
        SELECT holder_id, ends_at, NULL FROM token_authority.secret replaced
        WHERE holder_kind = 'token' AND NOT ended AND ends_at > {{now}} AND last_used_at > (
            SELECT min(created_at) FROM token_authority.secret newer
            WHERE newer.holder_kind = 'token' AND newer.holder_id = replaced.holder_id
              AND newer.created_at > replaced.created_at
        )
    ) s
    JOIN token_authority.token t ON t.id = s.holder_id
    WHERE {ACTIVE} AND {{within}} AND t.id > {{after}} GROUP BY t.id ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_OWNER_INACTIVE: Final = f"""
    -- review_owner_inactive: active tokens created before this time whose owner has other tokens, none of them created
    -- or used since. It reads the two latest of each owner: if both are recent there is no finding, if one is, at most
    -- that one.
    SELECT t.id, {_NOTHING}
    FROM (
        WITH RECURSIVE owners AS (
            SELECT min(owner) AS owner FROM token_authority.token_use WHERE owner > ''
            UNION ALL
            SELECT (SELECT min(n.owner) FROM token_authority.token_use n WHERE n.owner > o.owner)
            FROM owners o WHERE o.owner IS NOT NULL
        )
        SELECT o.owner, CASE WHEN max(seen_at) >= {{since}} THEN max(token_id) FILTER (WHERE place = 1) END AS only_id
        FROM owners o, LATERAL (
            SELECT token_id, seen_at, row_number() OVER (ORDER BY seen_at DESC) AS place
            FROM (
                SELECT u.token_id, {_SEEN} AS seen_at FROM token_authority.token_use u WHERE u.owner = o.owner
                ORDER BY u.owner DESC, {_SEEN} DESC LIMIT 2
            ) newest
        ) latest
        GROUP BY o.owner HAVING count(*) = 2 AND min(seen_at) < {{since}}
        OFFSET 0
    ) inactive, LATERAL (
        SELECT t.id FROM token_authority.token t
        WHERE coalesce(t.owner, '') = inactive.owner AND (inactive.only_id IS NULL OR t.id = inactive.only_id)
          AND t.created_at < {{since}} AND {ACTIVE} AND {{within}} AND t.id > {{after}}
        ORDER BY coalesce(t.owner, ''), t.id LIMIT {{limit}}
    ) t
    ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_OWNER_INACTIVE_WITHIN: Final = f"""
    -- review_owner_inactive_within: the same among the tokens within the limits, so that it reveals no others
    SELECT t.id, {_NOTHING}
    FROM (
        SELECT t.id, t.created_at, {ACTIVE} AS active, {_SEEN} >= {{since}} AS seen, count(*) OVER of_owner AS tokens,
               count(*) FILTER (WHERE {_SEEN} >= {{since}}) OVER of_owner AS seen_tokens
        FROM {TABLES} WHERE t.owner IS NOT NULL AND {{within}} WINDOW of_owner AS (PARTITION BY t.owner)
    ) t
    WHERE active AND tokens > 1 AND seen_tokens = seen::integer AND t.created_at < {{since}} AND t.id > {{after}}
      AND {{matching}}
    ORDER BY t.id LIMIT {{limit}}
"""  # noqa: S608
_MATCHING: Final = "t.id IN (SELECT t.id FROM token_authority.token t WHERE {})"
_KEPT_COLUMNS: Final = "k.kept_until, k.kept_by"
_NOT_KEPT_COLUMNS: Final = "NULL::timestamptz AS kept_until, NULL AS kept_by"
_KEPT_JOIN: Final = f"LEFT JOIN {KEPT} ON {IS_KEPT}"
_STATEMENTS: Final[dict[FindingKind, str]] = {
    "unused": _UNUSED,
    "never_used": _NEVER_USED,
    "never_expires": _NEVER_EXPIRES,
    "reaches_any": _REACHES_ANY,
    "expiring": _EXPIRING,
    "rotated_secret_in_use": _ROTATED,
    "owner_inactive": _OWNER_INACTIVE,
}


async def select_candidates(
    connection: Connection, kind: FindingKind, review: Review, rights: Rights, after: str, limit: int
) -> list[Candidate]:
    """Return up to `limit` tokens of a kind of finding within `rights`, by id and after an id.

    Without `review.include_kept`, leave out those whose finding is kept.
    """
    arguments = Arguments()
    statement = _STATEMENTS[kind] if rights.sees_all or kind != "owner_inactive" else _OWNER_INACTIVE_WITHIN
    limited = Selection().within(rights)
    limits, search = (conditions(each, arguments, review.now) for each in (limited, review.selection))
    identity = {"kind": arguments.add(kind), "now": f"{arguments.add(review.now)}::timestamptz"}
    unkept = [] if review.include_kept else [NOT_KEPT.format(**identity)]
    matching = []
    if statement is _OWNER_INACTIVE_WITHIN:  # which compares all tokens within the limits
        matching = [*(_MATCHING.format(condition) for condition in search), *unkept]
        search, unkept = [], []
    within = {
        "within": " AND ".join([*limits, *search, *unkept]) or "true",
        "matching": " AND ".join(matching) or "true",
    }
    times = {"now": review.now, "since": review.unused_since, "soon": review.expiring_until, "late": review.late_since}
    moments = {name: f"{arguments.add(at)}::timestamptz" for name, at in times.items() if f"{{{name}}}" in statement}
    found = statement.format(**moments, **within, after=arguments.add(after), limit=arguments.add(limit))
    columns, join = (_KEPT_COLUMNS, _KEPT_JOIN.format(**identity)) if review.include_kept else (_NOT_KEPT_COLUMNS, "")
    query = f"""
        WITH found AS MATERIALIZED ({found})
        SELECT {SHOWN}, found.replaced_ends_at, found.late_use_at AS late_at, {columns}
        FROM found JOIN {TABLES} ON t.id = found.id {join} ORDER BY found.id
    """  # noqa: S608
    return [_read_candidate(row, kind) for row in await connection.fetch(query, *arguments.values)]


def _read_candidate(row: Row, kind: FindingKind) -> Candidate:
    token, use = read_token(row), read_use(row)
    evidence = Evidence(use.last_used_at, row["replaced_ends_at"], row["late_at"])
    kept = KeptFinding(token.id, kind, row["kept_until"], row["kept_by"]) if row["kept_until"] else None
    return Candidate(token, use, evidence, kept)
