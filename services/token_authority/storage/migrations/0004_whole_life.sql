-- The whole life of a token: what may be said of it, several secrets at a time, how it ended, who did what to it; and
-- administrators and services as principals of their own.

-- A secret, as a digest, of a token, an administrator or a service, which has two at once while it is rotated.
CREATE TABLE token_authority.secret (
    id               text PRIMARY KEY,
    holder_kind      text NOT NULL CHECK (holder_kind IN ('token', 'admin_key', 'service')),
    holder_id        text NOT NULL,
    digest           bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    hint             text NOT NULL,
    created_at       timestamptz NOT NULL,
    ends_at          timestamptz,
    ended            boolean NOT NULL DEFAULT false,
    ends_on_use      boolean NOT NULL DEFAULT false,
    from_environment boolean NOT NULL DEFAULT false,
    rotation_key     bytea CHECK (length(rotation_key) = 32),
    rotation_request bytea CHECK (length(rotation_request) = 32),
    first_used_at    timestamptz,
    last_used_at     timestamptz,
    late_uses        bigint NOT NULL DEFAULT 0,
    last_late_use_at timestamptz
);

CREATE INDEX secret_by_holder ON token_authority.secret (holder_kind, holder_id);
CREATE UNIQUE INDEX secret_by_rotation ON token_authority.secret (holder_kind, holder_id, rotation_key)
    WHERE rotation_key IS NOT NULL;

INSERT INTO token_authority.secret (id, holder_kind, holder_id, digest, hint, created_at)
SELECT 'sec_' || md5('token ' || id), 'token', id, digest, hint, created_at FROM token_authority.token
UNION ALL
SELECT 'sec_' || md5('admin_key ' || id), 'admin_key', id, digest, 'pga_…', created_at FROM token_authority.admin_key;
INSERT INTO token_authority.secret (id, holder_kind, holder_id, digest, hint, created_at, from_environment)
SELECT 'sec_' || md5('service ' || client_id), 'service', client_id, digest, 'pgs_…', created_at, true FROM token_authority.service;

ALTER TABLE token_authority.change_log ADD COLUMN digest bytea CHECK (length(digest) = 32);
UPDATE token_authority.change_log c SET digest = t.digest FROM token_authority.token t WHERE t.id = c.token_id;
ALTER TABLE token_authority.change_log
    ALTER COLUMN digest SET NOT NULL,
    DROP CONSTRAINT change_log_kind_check,
    ADD CHECK (kind IN ('revoked', 'narrowed', 'updated', 'disabled', 'enabled', 'rotated'));

-- Room in each page, so that a change to what no index holds, as a revocation is, leaves the indexes alone.
ALTER TABLE token_authority.token SET (fillfactor = 70);

-- `reach` holds the index keys of the scopes, as `domain/scope_index.py` makes them, so that an index finds the tokens for a place.
ALTER TABLE token_authority.token
    DROP COLUMN digest,
    DROP CONSTRAINT token_created_by_fkey,
    ADD COLUMN description     text NOT NULL DEFAULT '' CHECK (length(description) <= 2000),
    ADD COLUMN folded          text NOT NULL DEFAULT '',
    ADD COLUMN allow_query     boolean NOT NULL DEFAULT true,
    ADD COLUMN allowed_ips     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN rate_limit      integer CHECK (rate_limit >= 1),
    ADD COLUMN metadata        json NOT NULL DEFAULT '{}',
    ADD COLUMN reach           text[] NOT NULL DEFAULT '{}',
    ADD COLUMN disabled_at     timestamptz,
    ADD COLUMN disabled_by     text,
    ADD COLUMN disabled_reason text,
    ADD COLUMN revoked_by      text,
    ADD COLUMN revoked_reason  text,
    ADD COLUMN revoked_text    text,
    ADD COLUMN late_use_at     timestamptz;

-- What scopes allow, an action and where each: polls:read,vote:PLAT is read:PLAT/ and vote:PLAT/.
CREATE FUNCTION token_authority.grants(scopes text[]) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT action || ':' || CASE selector WHEN '*' THEN '' ELSE selector || '/' END
    FROM unnest(scopes) AS scope,
         LATERAL (SELECT split_part(scope, ':', 2) AS actions, split_part(scope, ':', 3) AS selector) AS parts,
         LATERAL unnest(CASE actions
             WHEN '*' THEN '{read,create,update,delete,vote,results}'::text[]
             ELSE string_to_array(actions, ',') END) AS action
$$;

UPDATE token_authority.token SET
    created_by = 'admin_key:' || created_by,
    folded = lower(name),
    reach = ARRAY(
        SELECT "grant" FROM token_authority.grants(scopes) AS "grant"
        UNION
        SELECT split_part("grant", ':', 1) || '>' || array_to_string(path[:depth] || '{""}', '/')
        FROM token_authority.grants(scopes) AS "grant",
             LATERAL (SELECT string_to_array(split_part("grant", ':', 2), '/') AS path) AS place,
             generate_series(0, cardinality(path) - 2) AS depth
    );

-- Whoever has taken the service over may not give life or rights to a token that is out there.
CREATE FUNCTION token_authority.only_less() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE insufficient_privilege USING MESSAGE = 'a revoked token stays revoked';
    END IF;
    IF coalesce(NEW.expires_at, 'infinity') > coalesce(OLD.expires_at, 'infinity') THEN
        RAISE insufficient_privilege USING MESSAGE = 'a token can only end earlier';
    END IF;
    IF NEW.scopes <> OLD.scopes AND EXISTS (
        SELECT FROM token_authority.grants(NEW.scopes) AS wanted WHERE NOT EXISTS (
            SELECT FROM token_authority.grants(OLD.scopes) AS had WHERE starts_with(wanted, had)
        )
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = 'the scopes of a token can only become narrower';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER only_less BEFORE UPDATE OF scopes, expires_at, revoked_at ON token_authority.token
    FOR EACH ROW EXECUTE FUNCTION token_authority.only_less();

ALTER TABLE token_authority.admin_key
    DROP COLUMN digest,
    ADD COLUMN name       text NOT NULL DEFAULT 'First admin key',
    ADD COLUMN role       text NOT NULL DEFAULT 'admin' CHECK (role IN ('admin', 'issuer', 'auditor')),
    ADD COLUMN sites      text[],
    ADD COLUMN scopes     text[],
    ADD COLUMN created_by text NOT NULL DEFAULT 'system',
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN revoked_by text;

ALTER TABLE token_authority.service
    DROP COLUMN digest,
    ADD COLUMN name        text NOT NULL DEFAULT '',
    ADD COLUMN sites       text[],
    ADD COLUMN public_key  text,
    ADD COLUMN created_by  text NOT NULL DEFAULT 'system',
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN disabled_by text;

ALTER TABLE token_authority.token_use
    ADD COLUMN refusals bigint NOT NULL DEFAULT 0,
    ALTER COLUMN last_used_at DROP NOT NULL;

INSERT INTO token_authority.token_use (token_id, uses)
SELECT id, 0 FROM token_authority.token ON CONFLICT DO NOTHING;

-- Requests and refusals of a token on one day in UTC.
CREATE TABLE token_authority.token_day (
    token_id text NOT NULL REFERENCES token_authority.token,
    day      date NOT NULL,
    uses     bigint NOT NULL,
    refusals bigint NOT NULL,
    PRIMARY KEY (token_id, day)
);

CREATE INDEX token_day_by_day ON token_authority.token_day (day);

-- Who did what, when and from where. Each row's hash takes in that of the row before, so that a change to a row shows.
-- The service may add rows and read them.
CREATE TABLE token_authority.audit_log (
    seq        bigint PRIMARY KEY,
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
    hash       bytea NOT NULL CHECK (length(hash) = 32)
);

CREATE INDEX audit_log_by_subject ON token_authority.audit_log (subject, seq);
CREATE INDEX audit_log_by_actor ON token_authority.audit_log (actor_id, seq);
CREATE INDEX audit_log_by_time ON token_authority.audit_log (at);

-- Every run of three characters in a text, so that an index finds a text by any part of it.
CREATE FUNCTION token_authority.grams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr($1, start, 3)), '{}') FROM generate_series(1, length($1) - 2) AS start
$$;

CREATE INDEX token_by_grams ON token_authority.token USING gin (token_authority.grams(folded));
CREATE INDEX token_by_reach ON token_authority.token USING gin (reach);
DROP INDEX token_authority.token_by_owner;
CREATE INDEX token_by_owner ON token_authority.token (coalesce(owner, ''), id);
CREATE INDEX token_by_site ON token_authority.token (site_id, id);
CREATE INDEX token_by_creation ON token_authority.token (created_at, id);
CREATE INDEX token_by_expiry ON token_authority.token (coalesce(expires_at, 'infinity'), id);
CREATE INDEX token_by_use ON token_authority.token_use (coalesce(last_used_at, '-infinity'), token_id);

GRANT SELECT, INSERT ON token_authority.secret TO token_authority;
GRANT UPDATE (digest, hint, ends_at, ended, ends_on_use, from_environment, first_used_at, last_used_at, late_uses, last_late_use_at)
    ON token_authority.secret TO token_authority;
GRANT UPDATE (
    name, description, folded, owner, scopes, reach, expires_at, allow_query, allowed_ips, rate_limit, metadata, hint,
    disabled_at, disabled_by, disabled_reason, revoked_by, revoked_reason, revoked_text, late_use_at
) ON token_authority.token TO token_authority;
GRANT UPDATE (name, role, sites, scopes, revoked_at, revoked_by) ON token_authority.admin_key TO token_authority;
GRANT UPDATE (name, sites, public_key, disabled_at, disabled_by) ON token_authority.service TO token_authority;
GRANT SELECT, INSERT, UPDATE, DELETE ON token_authority.token_day TO token_authority;
GRANT SELECT, INSERT ON token_authority.audit_log TO token_authority;
