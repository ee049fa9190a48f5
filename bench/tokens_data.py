"""Insert tokens as a large organisation may have them directly into the database."""

import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

import asyncpg

from services.token_authority.domain.review import FINDING_KINDS
from services.token_authority.domain.scope_index import index_keys
from services.token_authority.domain.token import fold
from shared.contract.scope import Scope
from shared.contract.token import ACCESS_TOKEN, digest, mint, random_base62

SITES: Final = ("site_bench_1", "site_bench_2", "site_bench_3")
BATCH: Final = 100_000
"""Tokens that are made in memory at once."""
OWNERS: Final = 500
WORKSPACES: Final = 300
GONE: Final = 20
"""Owners who left a year ago and whose tokens still exist."""
GONE_FOR_S: Final = 365 * 86_400

FREQUENT: Final = "report"
RARE: Final = "quarterly burndown"
ABSENT: Final = "portation of weekly"
"""In no token, although each of its trigrams is in some."""
_KINDS: Final = ("Weekly report", "Release bot", "Standup poll", "Retrospective", "Survey import", "Dashboard", "Sync")
_DESCRIPTIONS: Final = (
    "Posts the poll of the week in every project of the team and sends a report of it to anyone who asks",
    "Runs every night from the build server, reads what has been voted and closes what is old",
    "Made for the migration and kept since; ask in the channel of the team before it is revoked",
    "Counts votes for the dashboard in the hallway",
    "",
)
_ACTIONS: Final = ("read", "read,results", "read,create,update", "vote", "*", "read,vote")

_SITE: Final = ("id", "name", "endpoint_id", "created_at")
_TOKEN: Final = (
    "id",
    "site_id",
    "name",
    "description",
    "folded",
    "owner",
    "scopes",
    "reach",
    "hint",
    "created_by",
    "created_at",
    "expires_at",
    "disabled_at",
    "revoked_at",
    "revoked_seq",
    "revoked_by",
    "revoked_reason",
)
_SECRET: Final = (
    "id",
    "holder_kind",
    "holder_id",
    "digest",
    "hint",
    "created_at",
    "ends_at",
    "last_used_at",
    "last_late_use_at",
)
_KEPT: Final = ("token_id", "kind", "kept_until", "kept_by")
_USE: Final = ("token_id", "uses", "refusals", "last_used_at", "owner", "made_at")


_SELECT_INDEXES: Final = """
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = 'token_authority' AND tablename = 'token' AND indexdef LIKE '%USING gin%'
"""


class Rows(NamedTuple):
    """The rows of one token in three tables."""

    token: tuple[Any, ...]
    use: tuple[Any, ...]
    secrets: list[tuple[Any, ...]]


async def fill(url: str, count: int, seed: int = 1) -> None:
    """Insert sites with `count` tokens, the same for the same seed, and update the planner's statistics."""
    connection = await asyncpg.connect(url)
    tokens, kept = _tokens(count, random.Random(seed)), random.Random(seed)
    try:
        await _copy(connection, "site", _SITE, [(site, site, f"{site:x<27}", datetime.now(UTC)) for site in SITES])
        indexes = await connection.fetch(_SELECT_INDEXES)
        for index in indexes:  # those for searches: to build them at the end takes a fraction of the time
            await connection.execute(f"DROP INDEX token_authority.{index['name']}")
        while made := list(islice(tokens, BATCH)):
            async with connection.transaction():
                await _copy(connection, "token", _TOKEN, [rows.token for rows in made])
                await _copy(connection, "token_use", _USE, [rows.use for rows in made])
                await _copy(connection, "secret", _SECRET, [secret for rows in made for secret in rows.secrets])
                await _copy(connection, "kept_finding", _KEPT, list(_kept([rows.token[0] for rows in made], kept)))
        await connection.execute("SET maintenance_work_mem = '256MB'")
        for index in indexes:
            await connection.execute(index["definition"], timeout=600)
        await connection.execute("VACUUM (ANALYZE)", timeout=600)
    finally:
        await connection.close()


async def add_held_tokens(url: str, count: int, endpoint_id: str) -> list[str]:
    """Insert tokens that may do everything at the site with this endpoint. Return their secrets."""
    minted = [mint(ACCESS_TOKEN) for _ in range(count)]
    scopes, now = [Scope.parse("polls:*:*")], datetime.now(UTC)
    connection = await asyncpg.connect(url)
    try:
        site_id = await connection.fetchval("SELECT id FROM token_authority.site WHERE endpoint_id = $1", endpoint_id)
        held = [(f"tok_{secrets.token_hex(12)}", secret) for secret in minted]
        about = (
            "Held",
            "",
            "held",
            None,
            [str(scopes[0])],
            index_keys(scopes),
            "pgt_…abcd",
            "admin_key:adm_bench",
            now,
        )
        tokens = [(token_id, site_id, *about, *[None] * 6) for token_id, _ in held]
        await _copy(connection, "token", _TOKEN, tokens)
        await _copy(connection, "token_use", _USE, [(token_id, 0, 0, None, "", now) for token_id, _ in held])
        rows = [
            (f"sec_{secrets.token_hex(12)}", "token", token_id, digest(secret), "pgt_…abcd", now, None, None, None)
            for token_id, secret in held
        ]
        await _copy(connection, "secret", _SECRET, rows)
    finally:
        await connection.close()
    return minted


async def _copy(
    connection: "asyncpg.Connection", table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(
        table, schema_name="token_authority", columns=columns, records=rows, timeout=600
    )


def _tokens(count: int, rng: random.Random) -> Iterator[Rows]:
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(count):
        yield _token(number, now, rng)


def _token(number: int, now: datetime, rng: random.Random) -> Rows:
    token_id = f"tok_{rng.getrandbits(96):024x}"
    person = rng.randrange(OWNERS) if rng.random() < 0.9 else None
    has_left = person is not None and person < GONE
    created_at = now - timedelta(seconds=rng.randrange(GONE_FOR_S if has_left else 86_400, 3 * 365 * 86_400))
    used_at = _used_at(created_at, now - timedelta(seconds=GONE_FOR_S if has_left else 0), rng)
    name, description = _texts(number, rng)
    scopes = _scopes(rng)
    owner = None if person is None else f"person-{person:03}@example.com"
    fate, ended_at = rng.random(), now - timedelta(days=rng.randrange(1, 300))
    revoked_at = ended_at if fate < 0.12 else None
    token = (
        token_id,
        rng.choice(SITES),
        name,
        description,
        fold(f"{name}\n{description}\n{owner or ''}"),
        owner,
        [str(scope) for scope in scopes],
        index_keys(scopes),
        "pgt_…abcd",
        "admin_key:adm_bench",
        created_at,
        _expires_at(fate, ended_at, now, rng),
        ended_at if 0.17 < fate < 0.2 else None,
        revoked_at,
        1 if revoked_at else None,
        "admin_key:adm_bench" if revoked_at else None,
        "unneeded" if revoked_at else None,
    )
    use = (token_id, rng.randrange(1, 100_000) if used_at else 0, rng.randrange(20), used_at, owner or "", created_at)
    return Rows(token, use, _secrets(token_id, created_at, used_at, now, rng))


def _used_at(created_at: datetime, until: datetime, rng: random.Random) -> datetime | None:
    """Return a time in the last days for half of the tokens, `None` for a tenth, and any time for the rest."""
    if rng.random() < 0.1:
        return None
    ago = timedelta(seconds=rng.expovariate(1 / (5 * 86_400)) if rng.random() < 0.6 else rng.randrange(600 * 86_400))
    return max(created_at, until - ago)


def _expires_at(fate: float, ended_at: datetime, now: datetime, rng: random.Random) -> datetime | None:
    if 0.12 <= fate < 0.17:
        return ended_at
    return now + timedelta(days=rng.randrange(1, 365), seconds=5) if rng.random() < 0.6 else None


def _texts(number: int, rng: random.Random) -> tuple[str, str]:
    name = f"{rng.choice(_KINDS)} of {workspace(rng)}" + (f" ({number})" if rng.random() < 0.5 else "")
    description = rng.choice(_DESCRIPTIONS)
    return name, f"{description}; {RARE}" if rng.random() < 0.0003 else description


def _scopes(rng: random.Random) -> list[Scope]:
    if rng.random() < 0.06:
        return [Scope.parse(f"polls:{rng.choice(_ACTIONS)}:*")]
    texts = [f"polls:{rng.choice(_ACTIONS)}:{selector(rng)}" for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return list(dict.fromkeys(map(Scope.parse, texts)))


def workspace(rng: random.Random) -> str:
    """Draw a workspace."""
    return f"WS{rng.randrange(WORKSPACES)}"


def selector(rng: random.Random) -> str:
    """Draw a selector: a workspace, or an issue in it."""
    name = workspace(rng)
    return name if rng.random() < 0.7 else f"{name}/{name}-{rng.randrange(2000)}"


def _kept(token_ids: list[str], rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """Yield kept findings of a twentieth of the tokens, whether or not they have these findings."""
    now = datetime.now(UTC)
    for token_id in rng.sample(token_ids, len(token_ids) // 20):
        until = now + timedelta(days=rng.randrange(1, 90))
        yield (token_id, rng.choice(FINDING_KINDS), until, "admin_key:adm_bench")


def _secrets(
    token_id: str, created_at: datetime, used_at: datetime | None, now: datetime, rng: random.Random
) -> list[tuple[Any, ...]]:
    """Return the current secret and, for a tenth of the tokens, one that it replaced."""
    rotated_at = now - timedelta(days=rng.randrange(200)) if rng.random() < 0.1 else None
    newest = (*_secret_row(token_id), rotated_at or created_at, None, used_at, None)
    if rotated_at is None:
        return [newest]
    ends_at, late_at = rotated_at + timedelta(days=3), None
    if rng.random() < 0.05:
        late_at = max(ends_at, now - timedelta(days=rng.randrange(60)))
    return [newest, (*_secret_row(token_id), created_at, ends_at, used_at, late_at)]


def _secret_row(token_id: str) -> tuple[Any, ...]:
    hint = f"pgt_…{random_base62(4)}"
    return (f"sec_{secrets.token_hex(12)}", "token", token_id, secrets.token_bytes(32), hint)
