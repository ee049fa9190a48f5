-- Voting links: a participant votes by one on a page, without a token.

-- A statement that stores a ballot must not write or lock the row of a personal link: both rows would carry the number of
-- its transaction, which would show whose the ballot is.
CREATE TABLE polls.link (
    id               uuid PRIMARY KEY,
    poll_id          uuid NOT NULL REFERENCES polls.poll ON DELETE CASCADE,
    kind             text NOT NULL CHECK (kind IN ('personal', 'shared')),
    secret_hash      bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    hint             text NOT NULL,
    label            text,
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    expires_at       timestamptz,
    revoked_at       timestamptz,

    -- Of a personal link: the participant, as a keyed hash that is not the one of the ballot, and encrypted under the
    -- secret of the link. In clear only where the poll keeps names.
    participant_hash bytea,
    nonce            bytea,
    ciphertext       bytea,
    participant      text,
    name             text,

    -- Of a shared link: how many participants have voted by it, and may.
    participants     integer NOT NULL DEFAULT 0 CHECK (participants >= 0),
    max_participants integer CHECK (participants <= max_participants),
    max_per_address  integer,

    CHECK ((kind = 'personal') = (participant_hash IS NOT NULL)),
    CHECK (num_nulls(participant_hash, nonce, ciphertext) IN (0, 3)),
    CHECK (kind = 'shared' OR num_nonnulls(max_participants, max_per_address) = 0),
    CHECK (kind = 'personal' OR num_nonnulls(participant, name) = 0)
) WITH (fillfactor = 50);

CREATE INDEX link_by_poll ON polls.link (poll_id, created_at, id);
CREATE INDEX link_by_participant ON polls.link (poll_id, participant_hash) WHERE participant_hash IS NOT NULL;

-- Whether a participant may vote by a link now. It is called while the statement holds the lock of the poll, and sees what
-- was committed until then, which the snapshot of the statement need not.
CREATE FUNCTION polls.admits(of_poll uuid, by_link uuid, voter bytea) RETURNS boolean LANGUAGE sql VOLATILE
SET search_path = pg_catalog AS $$
    SELECT EXISTS (
        SELECT FROM polls.link
        WHERE id = by_link AND poll_id = of_poll AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
            AND (
                max_participants IS NULL OR participants < max_participants
                OR EXISTS (SELECT FROM polls.ballot WHERE poll_id = of_poll AND participant_hash = voter)
            )
    )
$$;

CREATE INDEX link_by_end ON polls.link (least(expires_at, revoked_at)) WHERE kind = 'personal';

GRANT SELECT, INSERT, DELETE, UPDATE (participants, participant, name, revoked_at) ON polls.link TO polls;
