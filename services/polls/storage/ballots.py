"""Ballots in PostgreSQL. Triggers count them into the tally, whatever statement changes them.

A participant is stored as a keyed hash. A statement that changes one ballot locks its poll first and changes nothing if
the poll was edited or closed since it was read. The lock is exclusive: with a shared lock, an edit would wait as
long as participants vote, and votes wait for each other anyway, for the tally.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from services.polls.domain.ballot import Ballot, CastResult, Voter
from services.polls.domain.state import PollState
from services.polls.storage.polls import ALL_BALLOTS_LIMIT_S, STATE, read_state
from shared.runtime.postgres.database import Connection, Row

BALLOT: Final = "ballot.option_ids, ballot.comment, ballot.participant, ballot.name, ballot.cast_at"
"""The columns that `found_ballot` reads, besides those of the poll."""
BALLOT_OF_WANTED: Final = """
    LEFT JOIN LATERAL (
        SELECT stored.*
        FROM unnest($3::bigint[], $4::bytea[]) WITH ORDINALITY AS shown (number, hash, place)
        JOIN polls.ballot AS stored ON stored.poll_id = poll.id AND stored.participant_hash = shown.hash
        WHERE shown.number = wanted.number
        ORDER BY shown.place
        LIMIT 1
    ) AS ballot ON true
"""
"""The ballot of the participant with a number in `wanted`: by the first of its hashes that has one."""

_SELECT: Final = f"""
    -- select_ballot: some polls, each of a site, and each with the ballot of one participant by the first of its hashes
    SELECT wanted.number, {STATE}, {BALLOT}, ballot.participant_hash
    FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS wanted (site, id, number)
    JOIN polls.poll ON poll.id = wanted.id AND poll.site = wanted.site
    JOIN polls.tally ON tally.poll_id = poll.id
    {BALLOT_OF_WANTED}
"""  # noqa: S608
_HELD: Final = """
    WITH held AS (
        SELECT id FROM polls.poll
        WHERE id = $1 AND version = $2 AND (closes_at IS NULL OR closes_at > clock_timestamp())
        FOR NO KEY UPDATE
    )
"""
_STORE: Final = """
    INSERT INTO polls.ballot (poll_id, participant_hash, option_ids, comment, participant, name, cast_at)
    SELECT id, $3, $4::text[], $5::text, $6::text, $7::text, CASE WHEN $6 IS NOT NULL THEN clock_timestamp() END
    FROM held
"""
_REPLACE: Final = """
    ON CONFLICT (poll_id, participant_hash) DO UPDATE
    SET option_ids = excluded.option_ids, comment = excluded.comment,
        participant = excluded.participant, name = excluded.name, cast_at = excluded.cast_at
    WHERE $8
    RETURNING xmax = 0 AS is_first, cast_at
"""
_CAST: Final = f"""
    -- cast_ballot: store the ballot of one participant; it replaces an earlier one if $8 allows that
    {_HELD} {_STORE} {_REPLACE}
"""
_CAST_BY_LINK: Final = f"""
    -- cast_ballot_by_link: the same, if the link $9 admits the participant; a shared link counts its participants
    {_HELD},
    stored AS ({_STORE} WHERE polls.admits(id, $9, $3) {_REPLACE}),
    counted AS (
        UPDATE polls.link SET participants = participants + 1 FROM stored
        WHERE link.id = $9 AND link.kind = 'shared' AND stored.is_first
    )
    SELECT is_first, cast_at FROM stored
"""  # noqa: S608
_REMOVE: Final = f"""
    -- remove_ballot: withdraw the ballot of one participant, who may vote again
    {_HELD}
    DELETE FROM polls.ballot USING held
    WHERE poll_id = held.id AND participant_hash = $3
    RETURNING poll_id
"""  # noqa: S608
_REMOVE_BY_LINK: Final = f"""
    -- remove_ballot_by_link: the same, if the link $4 works; a shared link no longer counts the participant
    {_HELD},
    removed AS (
        DELETE FROM polls.ballot USING held
        WHERE poll_id = held.id AND participant_hash = $3 AND polls.admits(held.id, $4, $3)
        RETURNING poll_id
    ),
    counted AS (
        UPDATE polls.link SET participants = greatest(participants - 1, 0) FROM removed
        WHERE link.id = $4 AND link.kind = 'shared'
    )
    SELECT poll_id FROM removed
"""  # noqa: S608
_EMPTY: Final = f"""
    -- empty_ballot: withdraw the ballot of one participant, who may not vote again
    {_HELD}
    UPDATE polls.ballot
    SET option_ids = '{{}}', comment = NULL, participant = NULL, name = NULL, cast_at = NULL
    FROM held
    WHERE poll_id = held.id AND participant_hash = $3
    RETURNING poll_id
"""  # noqa: S608
_EMPTY_BY_LINK: Final = f"""
    -- empty_ballot_by_link: the same, if the link $4 works
    {_HELD}
    UPDATE polls.ballot
    SET option_ids = '{{}}', comment = NULL, participant = NULL, name = NULL, cast_at = NULL
    FROM held
    WHERE poll_id = held.id AND participant_hash = $3 AND polls.admits(held.id, $4, $3)
    RETURNING poll_id
"""  # noqa: S608
_PAGE: Final = f"""
    -- list_ballots: the ballots of a poll that have a participant, in the order of participants
    SELECT {BALLOT}
    FROM polls.ballot
    WHERE poll_id = $1 AND participant COLLATE "C" > $2 AND participant IS NOT NULL
    ORDER BY participant COLLATE "C"
    LIMIT $3
"""  # noqa: S608
_COUNT_NAMED: Final = """
    -- count_named_ballots: how many ballots of a poll have a participant
    SELECT count(*) AS ballots FROM polls.ballot WHERE poll_id = $1 AND participant IS NOT NULL
"""
_DROP: Final = """
    -- drop_ballots: delete the ballots of a poll that choose only some options
    DELETE FROM polls.ballot WHERE poll_id = $1 AND option_ids <@ $2::text[] AND option_ids <> '{}'
"""
_DROP_VOTES: Final = """
    -- drop_votes: remove some options from the other ballots
    UPDATE polls.ballot
    SET option_ids = ARRAY(
        SELECT option_id FROM unnest(option_ids) WITH ORDINALITY AS chosen (option_id, place)
        WHERE option_id <> ALL ($2::text[])
        ORDER BY place
    )
    WHERE poll_id = $1 AND option_ids && $2::text[]
"""
_ANONYMIZE: Final = """
    -- anonymize_ballots: erase participants and times from the ballots of a poll
    UPDATE polls.ballot SET participant = NULL, name = NULL, cast_at = NULL
    WHERE poll_id = $1 AND participant IS NOT NULL
"""


class BallotKey(NamedTuple):
    """A participant of a poll, by the hashes that may be stored, the preferred one first."""

    site: str
    poll_id: UUID
    participant_hashes: tuple[bytes, ...]


class FoundBallot(NamedTuple):
    """A poll, and the ballot of a participant with the hash under which it is stored, if there is one."""

    state: PollState
    participant_hash: bytes | None
    ballot: Ballot | None


async def select_ballots(connection: Connection, keys: Sequence[BallotKey]) -> dict[BallotKey, FoundBallot]:
    """Return what there is of each participant. A poll that does not exist in its site is left out."""
    shown = [(number, each) for number, key in enumerate(keys, start=1) for each in key.participant_hashes]
    rows = await connection.fetch(
        _SELECT,
        [key.site for key in keys],
        [key.poll_id for key in keys],
        [number for number, _ in shown],
        [each for _, each in shown],
    )
    return {keys[row["number"] - 1]: found_ballot(row) for row in rows}


async def cast_ballot(connection: Connection, voter: Voter, ballot: Ballot) -> CastResult | None:
    """Store the ballot.

    Return `None` if the poll was edited since it was read, is closed, or allows one ballot, or if the link by which the
    participant votes no longer admits that.
    """
    poll = voter.state.poll
    kept = (ballot.option_ids, ballot.comment, ballot.participant, ballot.name)
    values = (poll.id, poll.version, voter.participant_hash, *kept, poll.spec.settings.allow_revote)
    if voter.link is None:
        row = await connection.fetchrow(_CAST, *values)
    else:
        row = await connection.fetchrow(_CAST_BY_LINK, *values, voter.link.id)
    return None if row is None else CastResult(Ballot(*kept, cast_at=row["cast_at"]), row["is_first"])


async def withdraw_ballot(connection: Connection, voter: Voter) -> bool:
    """Withdraw the ballot. The participant may vote again if the poll allows it.

    Return `False` if the poll was edited since it was read, is closed, or has no such ballot, or if the link by which
    the participant votes no longer works.
    """
    poll = voter.state.poll
    values = (poll.id, poll.version, voter.participant_hash)
    may_vote_again = poll.spec.settings.allow_revote
    if voter.link is None:
        row = await connection.fetchrow(_REMOVE if may_vote_again else _EMPTY, *values)
    else:
        row = await connection.fetchrow(_REMOVE_BY_LINK if may_vote_again else _EMPTY_BY_LINK, *values, voter.link.id)
    return row is not None


async def list_ballots(connection: Connection, poll_id: UUID, after: str, limit: int) -> list[Ballot]:
    """Return the ballots of the participants after `after`, by participant, up to `limit`."""
    return [_read_ballot(row) for row in await connection.fetch(_PAGE, poll_id, after, limit)]


async def drop_votes(connection: Connection, poll_id: UUID, option_ids: Sequence[str]) -> int:
    """Remove the options from every ballot of the poll. Delete ballots without another option, and count these."""
    dropped = await connection.execute(_DROP, poll_id, option_ids, limit_s=ALL_BALLOTS_LIMIT_S)
    await connection.execute(_DROP_VOTES, poll_id, option_ids, limit_s=ALL_BALLOTS_LIMIT_S)
    return _count(dropped)


async def count_named(connection: Connection, poll_id: UUID) -> int:
    """Return from how many ballots of the poll `anonymize` would erase the participant."""
    (row,) = await connection.fetch(_COUNT_NAMED, poll_id)
    return row["ballots"]  # type: ignore[no-any-return]


async def anonymize(connection: Connection, poll_id: UUID) -> int:
    """Erase participant, name and time from every ballot of the poll. Return how many ballots had them."""
    return _count(await connection.execute(_ANONYMIZE, poll_id, limit_s=ALL_BALLOTS_LIMIT_S))


def found_ballot(row: Row) -> FoundBallot:
    """Return the poll and ballot in a row with the columns of `STATE` and `BALLOT`, and the hash of the participant."""
    ballot = None if row["option_ids"] is None else _read_ballot(row)
    return FoundBallot(read_state(row), row["participant_hash"], ballot)


def _read_ballot(row: Row) -> Ballot:
    return Ballot(tuple(row["option_ids"]), row["comment"], row["participant"], row["name"], row["cast_at"])


def _count(command_tag: str) -> int:
    return int(command_tag.rpartition(" ")[2])
