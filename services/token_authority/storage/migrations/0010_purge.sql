-- Tokens that ended long ago are removed. From where a token was used last is stored, and goes with it.

ALTER TABLE token_authority.token_use
    ADD COLUMN last_used_address    text CHECK (length(last_used_address) <= 45),
    ADD COLUMN last_used_user_agent text CHECK (length(last_used_user_agent) <= 100);

-- The digests of removed secrets, so that none can be stored again. The service can neither read nor change them.
CREATE TABLE token_authority.purged_secret (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32)
);

-- The service may remove only what ended at least a day ago, with its secrets.
CREATE FUNCTION token_authority.has_ended(token_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(least(revoked_at, expires_at) < now() - interval '1 day'), false)
    FROM token_authority.token WHERE id = token_id
$$;

CREATE FUNCTION token_authority.only_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    IF TG_TABLE_NAME = 'token' THEN
        IF NOT token_authority.has_ended(OLD.id) THEN
            RAISE insufficient_privilege USING MESSAGE = 'only a token that ended a day ago can be removed';
        END IF;
    ELSIF OLD.holder_kind = 'token' AND token_authority.has_ended(OLD.holder_id) THEN
        INSERT INTO token_authority.purged_secret (digest) VALUES (OLD.digest) ON CONFLICT DO NOTHING;
    ELSE
        RAISE insufficient_privilege USING MESSAGE = 'only a secret of a token that ended a day ago can be removed';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER only_ended BEFORE DELETE ON token_authority.token
    FOR EACH ROW WHEN (current_user = 'token_authority') EXECUTE FUNCTION token_authority.only_ended();
CREATE TRIGGER only_ended BEFORE DELETE ON token_authority.secret
    FOR EACH ROW WHEN (current_user = 'token_authority') EXECUTE FUNCTION token_authority.only_ended();

CREATE FUNCTION token_authority.never_again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT FROM token_authority.purged_secret WHERE digest = NEW.digest) THEN
        RAISE insufficient_privilege USING MESSAGE = 'a removed secret stays ended';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER never_again BEFORE INSERT OR UPDATE OF digest ON token_authority.secret
    FOR EACH ROW EXECUTE FUNCTION token_authority.never_again();

GRANT DELETE ON token_authority.token, token_authority.secret, token_authority.token_use TO token_authority;
