-- Renewal of tokens, their rotation by the holder, the Idempotency-Key of every request that creates a secret, and the
-- wildcard of scopes as an action of its own.

ALTER TABLE token_authority.token ADD COLUMN self_rotation boolean NOT NULL DEFAULT false;
GRANT UPDATE (self_rotation) ON token_authority.token TO token_authority;

-- A request with an Idempotency-Key that created a secret, or a service without one. `digest` covers the caller, the
-- route and the key. The row goes with its secret, when an ended token is removed.
CREATE TABLE token_authority.idempotency_key (
    digest         bytea PRIMARY KEY CHECK (length(digest) = 32),
    request_digest bytea NOT NULL CHECK (length(request_digest) = 32),
    holder_id      text NOT NULL,
    secret_id      text REFERENCES token_authority.secret ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idempotency_key_by_secret ON token_authority.idempotency_key (secret_id);

GRANT SELECT, INSERT ON token_authority.idempotency_key TO token_authority;

-- What scopes allow. The wildcard allows the six actions and those of later releases, which a list of six does not.
CREATE OR REPLACE FUNCTION token_authority.grants(scopes text[]) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT action || ':' || CASE selector WHEN '*' THEN '' ELSE selector || '/' END
    FROM unnest(scopes) AS scope,
         LATERAL (SELECT split_part(scope, ':', 2) AS actions, split_part(scope, ':', 3) AS selector) AS parts,
         LATERAL unnest(CASE actions
             WHEN '*' THEN '{*,read,create,update,delete,vote,results}'::text[]
             ELSE string_to_array(actions, ',') END) AS action
$$;

-- As before, except that a token that is not revoked may be renewed: it may end later if no secret that was used works
-- longer than before.
CREATE OR REPLACE FUNCTION token_authority.only_less() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE insufficient_privilege USING MESSAGE = 'a revoked token stays revoked';
    END IF;
    IF coalesce(NEW.expires_at, 'infinity') > coalesce(OLD.expires_at, 'infinity')
        AND (OLD.revoked_at IS NOT NULL OR EXISTS (
            SELECT FROM token_authority.secret s
            WHERE s.holder_kind = 'token' AND s.holder_id = OLD.id AND s.first_used_at IS NOT NULL AND NOT s.ended
              AND coalesce(s.ends_at, 'infinity') > OLD.expires_at
        )) THEN
        RAISE insufficient_privilege USING MESSAGE = 'a token can only end later with a new secret';
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

-- The service can only let a secret of a token or an admin key end earlier, and one that was used stays what it is. The
-- secrets of services may return with the environment that they come from.
CREATE FUNCTION token_authority.only_sooner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.first_used_at IS NOT NULL
        AND (NEW.digest <> OLD.digest OR NEW.first_used_at IS DISTINCT FROM OLD.first_used_at) THEN
        RAISE insufficient_privilege USING MESSAGE = 'a secret that was used is not replaced';
    END IF;
    IF OLD.holder_kind <> 'service'
        AND (OLD.ended > NEW.ended OR coalesce(NEW.ends_at, 'infinity') > coalesce(OLD.ends_at, 'infinity')) THEN
        RAISE insufficient_privilege USING MESSAGE = 'a secret can only end earlier';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER only_sooner BEFORE UPDATE OF digest, ends_at, ended, first_used_at ON token_authority.secret
    FOR EACH ROW WHEN (current_user = 'token_authority') EXECUTE FUNCTION token_authority.only_sooner();
