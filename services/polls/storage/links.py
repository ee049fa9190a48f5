"""Voting links in PostgreSQL, each found by its id or by the SHA-256 of its secret."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from services.polls.domain.link import Link, LinkFilter, LinkKind, LinkPosition
from services.polls.domain.state import PollState
from services.polls.storage.ballots import BALLOT, BALLOT_OF_WANTED, FoundBallot, found_ballot
from services.polls.storage.polls import STATE, read_state
from shared.runtime.crypto.encryption import Encrypted
from shared.runtime.postgres.database import Connection, Row

START: Final[LinkPosition] = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
"""A position before every link."""
END: Final[LinkPosition] = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=0))
"""A position after every link."""

_LINK: Final = """
    link.id AS link_id, link.kind AS link_kind, link.hint AS link_hint, link.label AS link_label,
    link.created_at AS link_created_at, link.created_by AS link_created_by, link.expires_at AS link_expires_at,
    link.revoked_at AS link_revoked_at, link.participant AS link_participant, link.name AS link_name,
    link.max_participants AS link_max_participants, link.max_per_address AS link_max_per_address,
    link.participants AS link_participants
"""
_WORKS: Final = "link.revoked_at IS NULL AND (link.expires_at IS NULL OR link.expires_at > clock_timestamp())"

_INSERT: Final = """
    -- insert_links: some links of one poll
    INSERT INTO polls.link (
        poll_id, created_by, created_at, expires_at, label, max_participants, max_per_address, kind,
        id, secret_hash, hint, participant_hash, nonce, ciphertext, participant, name
    )
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, new_link.*
    FROM unnest(
        $9::uuid[], $10::bytea[], $11::text[], $12::bytea[], $13::bytea[], $14::bytea[], $15::text[], $16::text[]
    ) AS new_link
"""
_COUNT: Final = f"""
    -- count_active_links: how many links of a poll work
    SELECT count(*) AS links FROM polls.link WHERE link.poll_id = $1 AND {_WORKS}
"""  # noqa: S608
_MATCHES: Final = """
    ($2::text IS NULL OR link.kind = $2)
    AND ($3::text IS NULL OR $3 = CASE
        WHEN link.revoked_at IS NOT NULL THEN 'revoked'
        WHEN link.expires_at <= clock_timestamp() THEN 'expired'
        ELSE 'active'
    END)
    AND ($4::bytea IS NULL OR link.participant_hash = $4)
    AND ($5::text IS NULL OR link.created_by = $5)
"""
_LIST: Final = f"""
    -- list_links: the links of a poll that meet the conditions, after a position, the oldest first
    SELECT {_LINK}, clock_timestamp() AS at
    FROM polls.link
    WHERE link.poll_id = $1 AND {_MATCHES} AND (link.created_at, link.id) > ($6, $7)
    ORDER BY link.created_at, link.id
    LIMIT $8
"""  # noqa: S608
_LIST_NEWEST: Final = f"""
    -- list_newest_links: the same, the newest first; links that were created at once stay in their order
    SELECT {_LINK}, clock_timestamp() AS at
    FROM polls.link
    WHERE link.poll_id = $1 AND {_MATCHES} AND link.created_at <= $6 AND (link.created_at < $6 OR link.id > $7)
    ORDER BY link.created_at DESC, link.id
    LIMIT $8
"""  # noqa: S608
_COUNT_TO_REVOKE: Final = f"""
    -- count_links_to_revoke: how many links of a poll meet the conditions and are not revoked
    SELECT count(*) AS links FROM polls.link WHERE link.poll_id = $1 AND {_MATCHES} AND link.revoked_at IS NULL
"""  # noqa: S608
_SELECT: Final = f"""
    -- select_link: one link of a poll
    SELECT {_LINK}, clock_timestamp() AS at
    FROM polls.link WHERE link.poll_id = $1 AND link.id = $2
"""  # noqa: S608
_REVOKE: Final = f"""
    -- revoke_links: end the links of a poll that meet the conditions
    UPDATE polls.link SET revoked_at = clock_timestamp()
    WHERE link.poll_id = $1 AND {_MATCHES} AND ($6::uuid IS NULL OR link.id = $6) AND link.revoked_at IS NULL
    RETURNING link.id, link.kind
"""  # noqa: S608
_ERASE_NAMES: Final = """
    -- erase_link_names: erase participants and names from the links of a poll
    UPDATE polls.link SET participant = NULL, name = NULL WHERE poll_id = $1 AND participant IS NOT NULL
"""
_OPEN: Final = f"""
    -- open_link: the link with a secret, if it works
    SELECT link.id, link.poll_id, link.kind, link.nonce, link.ciphertext
    FROM polls.link WHERE link.secret_hash = $1 AND {_WORKS}
"""  # noqa: S608
_SELECT_VOTERS: Final = f"""
    -- select_link_voters: some links that work, each with its poll and the ballot of one participant
    SELECT wanted.number, {STATE}, {BALLOT}, ballot.participant_hash, {_LINK}
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS wanted (link_id, poll_id, number)
    JOIN polls.link ON link.id = wanted.link_id AND link.poll_id = wanted.poll_id AND {_WORKS}
    JOIN polls.poll ON poll.id = link.poll_id
    JOIN polls.tally ON tally.poll_id = poll.id
    {BALLOT_OF_WANTED}
"""  # noqa: S608
_DELETE_ENDED: Final = """
    -- delete_ended_links: remove personal links that have ended before a time
    DELETE FROM polls.link WHERE id IN (
        SELECT id FROM polls.link
        WHERE kind = 'personal' AND least(expires_at, revoked_at) < $1
        LIMIT $2
    )
"""
_SELECT_SHARED: Final = f"""
    -- select_shared_poll: the poll of a shared link that works
    SELECT {STATE} FROM polls.link JOIN polls.poll ON poll.id = link.poll_id JOIN polls.tally ON tally.poll_id = poll.id
    WHERE link.id = $1 AND link.kind = 'shared' AND {_WORKS}
"""  # noqa: S608
_SELECT_WORKING: Final = f"""
    -- select_working_links: those of some links that work
    SELECT link.id FROM polls.link WHERE link.id = ANY($1) AND {_WORKS}
"""  # noqa: S608


class NewLink(NamedTuple):
    """A link to store. `encrypted` has the participant of a personal link, under the link's secret."""

    link: Link
    secret_hash: bytes
    participant_hash: bytes | None = None
    encrypted: Encrypted | None = None


class OpenedLink(NamedTuple):
    """A link that was found by its secret. `encrypted` has the participant of a personal link."""

    id: UUID
    poll_id: UUID
    encrypted: Encrypted | None


class LinkVoterKey(NamedTuple):
    """A participant who votes by a link, by the hashes that may be stored, the preferred one first."""

    link_id: UUID
    poll_id: UUID
    participant_hashes: tuple[bytes, ...]


class FoundLinkVoter(NamedTuple):
    """A link that works, its poll, and the ballot of a participant, if there is one."""

    link: Link
    found: FoundBallot


async def insert_links(connection: Connection, poll_id: UUID, links: Sequence[NewLink]) -> None:
    """Store some links of a poll, which have all but their participants in common."""
    first = links[0].link
    values = (
        first.created_by,
        first.created_at,
        first.expires_at,
        first.label,
        first.max_participants,
        first.max_per_address,
        first.kind,
    )
    rows = [
        (
            each.link.id,
            each.secret_hash,
            each.link.hint,
            each.participant_hash,
            None if each.encrypted is None else each.encrypted.nonce,
            None if each.encrypted is None else each.encrypted.ciphertext,
            each.link.participant,
            each.link.name,
        )
        for each in links
    ]
    await connection.execute(_INSERT, poll_id, *values, *zip(*rows, strict=True))


async def count_active_links(connection: Connection, poll_id: UUID) -> int:
    """Return how many links of the poll work."""
    (row,) = await connection.fetch(_COUNT, poll_id)
    return row["links"]  # type: ignore[no-any-return]


async def list_links(
    connection: Connection,
    poll_id: UUID,
    conditions: LinkFilter,
    participant_hash: bytes | None,
    after: LinkPosition | None,
    limit: int,
    *,
    newest_first: bool = False,
) -> list[tuple[Link, datetime]]:
    """Return up to `limit` links after a position, the oldest or the newest first, each with the database's time.

    `participant_hash` stands for the participant of the conditions.
    """
    statement, start = (_LIST_NEWEST, END) if newest_first else (_LIST, START)
    matching = _matching(conditions, participant_hash)
    rows = await connection.fetch(statement, poll_id, *matching, *(after or start), limit)
    return [(_read_link(row), row["at"]) for row in rows]


async def count_to_revoke(
    connection: Connection, poll_id: UUID, conditions: LinkFilter, participant_hash: bytes | None
) -> int:
    """Return how many links `revoke_links` would end."""
    (row,) = await connection.fetch(_COUNT_TO_REVOKE, poll_id, *_matching(conditions, participant_hash))
    return row["links"]  # type: ignore[no-any-return]


async def select_link(connection: Connection, poll_id: UUID, link_id: UUID) -> tuple[Link, datetime] | None:
    """Return a link of the poll with the time of the database, or `None` if the poll has no such link."""
    row = await connection.fetchrow(_SELECT, poll_id, link_id)
    return None if row is None else (_read_link(row), row["at"])


async def revoke_links(
    connection: Connection,
    poll_id: UUID,
    conditions: LinkFilter,
    participant_hash: bytes | None = None,
    link_id: UUID | None = None,
) -> dict[UUID, LinkKind]:
    """End the links of the poll that meet the conditions. Return the kind of each that was not revoked before.

    This transaction has locked the poll, so that every vote by a link is stored before or finds it revoked.
    """
    rows = await connection.fetch(_REVOKE, poll_id, *_matching(conditions, participant_hash), link_id)
    return {row["id"]: row["kind"] for row in rows}


async def erase_names(connection: Connection, poll_id: UUID) -> None:
    """Erase participants and names from the links of a poll that no longer keeps names."""
    await connection.execute(_ERASE_NAMES, poll_id)


async def open_link(connection: Connection, secret_hash: bytes) -> OpenedLink | None:
    """Return the link with this secret, or `None` if there is none that works."""
    row = await connection.fetchrow(_OPEN, secret_hash)
    if row is None:
        return None
    encrypted = None if row["nonce"] is None else Encrypted(row["nonce"], row["ciphertext"])
    return OpenedLink(row["id"], row["poll_id"], encrypted)


async def select_voters(connection: Connection, keys: Sequence[LinkVoterKey]) -> dict[LinkVoterKey, FoundLinkVoter]:
    """Return what there is of each participant. Those whose link does not work are left out."""
    shown = [(number, each) for number, key in enumerate(keys, start=1) for each in key.participant_hashes]
    rows = await connection.fetch(
        _SELECT_VOTERS,
        [key.link_id for key in keys],
        [key.poll_id for key in keys],
        [number for number, _ in shown],
        [each for _, each in shown],
    )
    return {keys[row["number"] - 1]: FoundLinkVoter(_read_link(row), found_ballot(row)) for row in rows}


async def select_shared_poll(connection: Connection, link_id: UUID) -> PollState | None:
    """Return the poll of a shared link, or `None` if there is no such link that works."""
    row = await connection.fetchrow(_SELECT_SHARED, link_id)
    return None if row is None else read_state(row)


async def select_working(connection: Connection, link_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the links that work."""
    return {row["id"] for row in await connection.fetch(_SELECT_WORKING, list(link_ids))}


async def delete_ended_links(connection: Connection, before: datetime, limit: int) -> int:
    """Remove up to `limit` personal links that have ended before a time. Return how many."""
    return int((await connection.execute(_DELETE_ENDED, before, limit)).rpartition(" ")[2])


def _matching(conditions: LinkFilter, participant_hash: bytes | None) -> tuple[object, ...]:
    return conditions.kind, conditions.status, participant_hash, conditions.created_by


def _read_link(row: Row) -> Link:
    return Link(**{field: row[f"link_{field}"] for field in Link.__struct_fields__})
