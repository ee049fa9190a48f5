-- Sessions of token holders on the pages to manage polls. The token is encrypted under a key that is derived from the
-- secret of the cookie, of which only the SHA-256 is stored: the database alone reveals neither.

CREATE TABLE polls.session (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
    nonce        bytea NOT NULL,
    ciphertext   bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);

CREATE INDEX session_by_last_use ON polls.session (last_seen_at);
CREATE INDEX session_by_start ON polls.session (created_at);

GRANT SELECT, INSERT, DELETE, UPDATE (last_seen_at) ON polls.session TO polls;
