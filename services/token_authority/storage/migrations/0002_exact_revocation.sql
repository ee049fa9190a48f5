-- Guard leases as the sync keeps them, the change that ended each token, who owns and uses it, and the public halves
-- of the keys that sign pushes.

DROP TABLE token_authority.guard_lease;

-- A guard's right to answer from its cache. No time stands here: whoever waits counts on its own clock, and a row
-- that has not been renewed for a lease and a margin is removed by whoever has watched it for so long.
CREATE TABLE token_authority.guard_lease (
    client_id text NOT NULL REFERENCES token_authority.service,
    guard_id  text NOT NULL CHECK (length(guard_id) BETWEEN 16 AND 64),
    applied   bigint NOT NULL,
    lease_ms  integer NOT NULL,
    renewal   uuid NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (client_id, guard_id)
);

ALTER TABLE token_authority.token
    ADD COLUMN owner text CHECK (length(owner) BETWEEN 1 AND 255),
    ADD COLUMN revoked_seq bigint;

UPDATE token_authority.token t SET revoked_seq = c.seq
FROM token_authority.change_log c WHERE c.token_id = t.id AND c.kind = 'revoked';

CREATE INDEX token_by_owner ON token_authority.token (owner) WHERE owner IS NOT NULL;

-- The log is trimmed, so nothing but the log itself looks changes up in it.
DROP INDEX token_authority.change_log_by_token;

CREATE TABLE token_authority.token_use (
    token_id     text PRIMARY KEY REFERENCES token_authority.token,
    uses         bigint NOT NULL,
    last_used_at timestamptz NOT NULL
);

-- The private halves never leave the process that made them.
CREATE TABLE token_authority.signing_key (
    kid        text PRIMARY KEY,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON token_authority.guard_lease TO token_authority;
GRANT UPDATE (revoked_seq) ON token_authority.token TO token_authority;
GRANT DELETE ON token_authority.change_log TO token_authority;
GRANT SELECT, INSERT, UPDATE ON token_authority.token_use TO token_authority;
GRANT SELECT, INSERT, DELETE ON token_authority.signing_key TO token_authority;
