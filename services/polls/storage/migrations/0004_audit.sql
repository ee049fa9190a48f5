-- Who has created, changed and deleted polls: a chain of records per poll, which outlives the poll. And when a poll was
-- changed in a way that breaks what participants were promised, shown with the poll.

CREATE TABLE polls.audit_log (
    poll_id    uuid NOT NULL,
    seq        bigint NOT NULL,
    site       text NOT NULL,
    workspace  text NOT NULL,
    content    text NOT NULL,
    container  text NOT NULL,
    at         timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id   text,
    address    text,
    request_id text,
    action     text NOT NULL,
    subject    text NOT NULL,
    before     json NOT NULL,
    after      json NOT NULL,
    previous   bytea NOT NULL CHECK (length(previous) = 32),
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (poll_id, seq)
);

GRANT SELECT, INSERT ON polls.audit_log TO polls;

ALTER TABLE polls.poll ADD COLUMN changed_after_votes jsonb NOT NULL DEFAULT '{}';
