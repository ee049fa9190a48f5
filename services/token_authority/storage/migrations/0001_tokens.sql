-- Sites, tokens, who may manage and who may introspect, and the log of what has become of tokens.
-- Secrets are kept as SHA-256 alone.

CREATE TABLE token_authority.site (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    endpoint_id text NOT NULL UNIQUE CHECK (length(endpoint_id) = 27),
    created_at  timestamptz NOT NULL
);

CREATE TABLE token_authority.admin_key (
    id         text PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE token_authority.service (
    client_id  text PRIMARY KEY,
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE token_authority.token (
    id         text PRIMARY KEY,
    site_id    text NOT NULL REFERENCES token_authority.site,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    scopes     text[] NOT NULL CHECK (cardinality(scopes) > 0),
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    hint       text NOT NULL,
    created_by text NOT NULL REFERENCES token_authority.admin_key,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX token_by_name ON token_authority.token (name, id);

-- One row for each change that guards must learn of. seq grows by one in commit order and without gaps,
-- because whoever adds a row holds an exclusive advisory lock until its commit.
CREATE TABLE token_authority.change_log (
    seq          bigint PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('revoked')),
    token_id     text NOT NULL REFERENCES token_authority.token,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);

CREATE INDEX change_log_by_token ON token_authority.change_log (token_id);
CREATE INDEX change_log_unpublished ON token_authority.change_log (seq) WHERE published_at IS NULL;

-- A guard's right to answer from its cache, by the guard's random id.
CREATE TABLE token_authority.guard_lease (
    guard_id   text PRIMARY KEY,
    applied    bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

GRANT SELECT, INSERT ON token_authority.site TO token_authority;
GRANT SELECT, INSERT ON token_authority.admin_key TO token_authority;
GRANT SELECT, INSERT, UPDATE (digest) ON token_authority.service TO token_authority;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON token_authority.token TO token_authority;
GRANT SELECT, INSERT, UPDATE (published_at) ON token_authority.change_log TO token_authority;
GRANT SELECT, INSERT, UPDATE, DELETE ON token_authority.guard_lease TO token_authority;
