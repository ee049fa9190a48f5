-- A database that was restored is noticed: its change log ends before changes that guards have applied. Until an operator
-- has finished the restoration, no token and no credential is accepted.

-- A change has a random id. After a restore, another change gets the same number, but not the same id. A log that starts
-- again in a new epoch begins with a row of the kind `restored`, which is about no token.
ALTER TABLE token_authority.change_log
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ALTER COLUMN token_id DROP NOT NULL,
    DROP CONSTRAINT change_log_kind_check,
    ADD CONSTRAINT change_log_kind_check
        CHECK (kind IN ('revoked', 'narrowed', 'updated', 'disabled', 'enabled', 'rotated', 'restored')),
    ADD CONSTRAINT change_log_token_check CHECK ((token_id IS NULL) = (kind = 'restored'));

-- A restoration is open from when it was proven that the log went back until an operator has finished it.
CREATE TABLE token_authority.restoration (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    began_at     timestamptz NOT NULL DEFAULT statement_timestamp(),
    evidence     json NOT NULL,
    expected_seq bigint NOT NULL CHECK (expected_seq >= 0),
    finished_at  timestamptz,
    finished_by  text,
    how          text,
    CHECK (num_nulls(finished_at, finished_by, how) IN (0, 3))
);

CREATE UNIQUE INDEX restoration_open ON token_authority.restoration ((true)) WHERE finished_at IS NULL;

-- Changes that the log lacks, as guards report them: the secret with this digest may no longer work as before.
CREATE TABLE token_authority.reported_change (
    restoration_id uuid NOT NULL REFERENCES token_authority.restoration,
    seq            bigint NOT NULL CHECK (seq > 0),
    change_id      uuid NOT NULL,
    digest         bytea NOT NULL CHECK (length(digest) = 32),
    reported_by    text[] NOT NULL CHECK (cardinality(reported_by) > 0),
    PRIMARY KEY (restoration_id, seq, change_id)
);

GRANT SELECT, INSERT, UPDATE (finished_at, finished_by, how) ON token_authority.restoration TO token_authority;
GRANT SELECT, INSERT, UPDATE (reported_by) ON token_authority.reported_change TO token_authority;
