-- Ballots, one a participant and poll, and what they come to, kept exact by triggers; answers that are given once.

ALTER TABLE polls.poll
    ADD COLUMN version   bigint NOT NULL DEFAULT 1,
    ADD COLUMN closes_at timestamptz;

UPDATE polls.poll
SET closes_at = CASE
    WHEN settings ->> 'end_date' ~ '^\d{4}-\d{2}-\d{2}$'
        THEN ((settings ->> 'end_date') || 'T00:00:00Z')::timestamptz + interval '1 day'
    ELSE (settings ->> 'end_date')::timestamptz
END
WHERE (settings ->> 'close_poll_on_end_date')::boolean;

CREATE INDEX poll_by_site ON polls.poll (site, created_at, id);
CREATE INDEX poll_by_workspace ON polls.poll (site, workspace, created_at, id);
CREATE INDEX poll_by_content ON polls.poll (site, workspace, content, created_at, id);
CREATE INDEX poll_by_update ON polls.poll (site, updated_at);

-- Who has voted is a keyed hash; who that was, under which name and when is kept only where the poll keeps names.
CREATE TABLE polls.ballot (
    poll_id          uuid NOT NULL REFERENCES polls.poll ON DELETE CASCADE,
    participant_hash bytea NOT NULL,
    option_ids       text[] NOT NULL,
    comment          text,
    participant      text,
    name             text,
    cast_at          timestamptz,
    PRIMARY KEY (poll_id, participant_hash)
);

CREATE TABLE polls.tally (
    poll_id      uuid PRIMARY KEY REFERENCES polls.poll ON DELETE CASCADE,
    participants bigint NOT NULL DEFAULT 0 CHECK (participants >= 0),
    votes        bigint NOT NULL DEFAULT 0 CHECK (votes >= 0),
    counts       jsonb NOT NULL DEFAULT '{}',
    revision     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE FUNCTION polls.begin_tally() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO polls.tally (poll_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER begin_tally AFTER INSERT ON polls.poll FOR EACH ROW EXECUTE FUNCTION polls.begin_tally();

INSERT INTO polls.tally (poll_id) SELECT id FROM polls.poll;

-- The counts by option after some are added; an option that comes to 0 is left out.
CREATE FUNCTION polls.added(counts jsonb, more jsonb, factor int) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog AS $$
    SELECT coalesce(jsonb_object_agg(option_id, n), '{}')
    FROM (
        SELECT option_id, sum(n)::bigint AS n
        FROM (
            SELECT key AS option_id, value::bigint AS n FROM jsonb_each_text(counts)
            UNION ALL
            SELECT key, factor * value::bigint FROM jsonb_each_text(more)
        ) AS each_count
        GROUP BY option_id
        HAVING sum(n) <> 0
    ) AS summed
$$;

-- Adds the changed ballots to their polls' tallies, or takes them away (TG_ARGV[0] is 1 or -1).
CREATE FUNCTION polls.count_ballots() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE polls.tally AS tally
    SET participants = tally.participants + TG_ARGV[0]::int * delta.participants,
        votes = tally.votes + TG_ARGV[0]::int * delta.votes,
        counts = polls.added(tally.counts, delta.counts, TG_ARGV[0]::int),
        revision = tally.revision + 1
    FROM (
        SELECT turnout.poll_id, turnout.participants, turnout.votes, coalesce(chosen.counts, '{}') AS counts
        FROM (
            SELECT poll_id, count(*) FILTER (WHERE option_ids <> '{}') AS participants, sum(cardinality(option_ids)) AS votes
            FROM changed
            GROUP BY poll_id
        ) AS turnout
        LEFT JOIN (
            SELECT poll_id, jsonb_object_agg(option_id, n) AS counts
            FROM (
                SELECT poll_id, option_id, count(*) AS n
                FROM changed, unnest(option_ids) AS option_id
                GROUP BY poll_id, option_id
            ) AS each_option
            GROUP BY poll_id
        ) AS chosen USING (poll_id)
    ) AS delta
    WHERE tally.poll_id = delta.poll_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_cast AFTER INSERT ON polls.ballot REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION polls.count_ballots('1');
CREATE TRIGGER count_recast_before AFTER UPDATE ON polls.ballot REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION polls.count_ballots('-1');
CREATE TRIGGER count_recast_then AFTER UPDATE ON polls.ballot REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION polls.count_ballots('1');
CREATE TRIGGER count_withdrawn AFTER DELETE ON polls.ballot REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION polls.count_ballots('-1');

REVOKE ALL ON FUNCTION polls.begin_tally(), polls.count_ballots() FROM PUBLIC;

-- The first answer to each Idempotency-Key of a token, for a day; null only in the transaction that makes it.
CREATE TABLE polls.answer (
    token_id    text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    status      smallint,
    headers     jsonb,
    body        bytea,
    given_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (token_id, key)
);

CREATE INDEX answer_by_time ON polls.answer (given_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON polls.ballot, polls.answer TO polls;
GRANT SELECT ON polls.tally TO polls;
