-- Sessions of administrators on the settings pages, links that open one, and the count of tokens by status.

-- Of one administrator: an admin key, by the secret that opened the session, or a person by an identity provider. The
-- rights are those at the start. The session ends when the key has others, or its secret ends.
CREATE TABLE token_authority.session (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
    id           text NOT NULL UNIQUE,
    admin_key_id text REFERENCES token_authority.admin_key,
    secret_id    text REFERENCES token_authority.secret,
    person_id    text,
    person_name  text,
    person_group text,
    issuer       text,
    role         text NOT NULL CHECK (role IN ('admin', 'issuer', 'auditor')),
    sites        text[],
    scopes       text[],
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CHECK ((admin_key_id IS NULL) = (secret_id IS NULL)),
    CHECK ((admin_key_id IS NULL) <> (person_id IS NULL)),
    CHECK (num_nulls(person_id, person_name, person_group, issuer) IN (0, 4))
);

CREATE INDEX session_by_last_use ON token_authority.session (last_seen_at);
CREATE INDEX session_by_secret ON token_authority.session (secret_id);

-- A link that opens a session once. The row goes with its use.
CREATE TABLE token_authority.sign_in_link (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
    admin_key_id text NOT NULL REFERENCES token_authority.admin_key,
    secret_id    text NOT NULL REFERENCES token_authority.secret,
    expires_at   timestamptz NOT NULL
);

CREATE INDEX sign_in_link_by_expiry ON token_authority.sign_in_link (expires_at);
CREATE INDEX sign_in_link_by_secret ON token_authority.sign_in_link (secret_id);

GRANT SELECT, INSERT, DELETE, UPDATE (last_seen_at) ON token_authority.session TO token_authority;
GRANT SELECT, INSERT, DELETE ON token_authority.sign_in_link TO token_authority;

-- True. As a condition on tokens, it makes the planner use an index for the others: it estimates that comparing an array
-- costs as little as comparing a number, and would compare those of all tokens.
CREATE FUNCTION token_authority.prefer_index(token_id text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
BEGIN
    RETURN true;
END
$$;
