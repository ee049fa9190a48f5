-- What a review of tokens asks for, the policy that disables unused ones, and searches for one or two characters.
-- No index of a token holds what a revocation or a disabling changes, so that those leave all indexes alone.

-- When a token was last enabled again, from which on the policy counts anew.
ALTER TABLE token_authority.token ADD COLUMN enabled_at timestamptz;
GRANT UPDATE (enabled_at) ON token_authority.token TO token_authority;

-- The owner and the making beside the uses, so that an index knows which tokens of each owner were made or used last.
ALTER TABLE token_authority.token_use
    ADD COLUMN owner   text NOT NULL DEFAULT '',
    ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();
UPDATE token_authority.token_use u SET owner = coalesce(t.owner, ''), made_at = t.created_at
FROM token_authority.token t WHERE t.id = u.token_id;

-- Tokens are never deleted, and uses are counted of known ones alone. Without this, whoever counts the first use of a
-- day would wait for whoever holds the token's row, and hold the row of its uses meanwhile.
ALTER TABLE token_authority.token_day DROP CONSTRAINT token_day_token_id_fkey;

CREATE INDEX token_without_end ON token_authority.token (id) WHERE expires_at IS NULL;
CREATE INDEX token_use_never ON token_authority.token_use (token_id) WHERE last_used_at IS NULL;
CREATE INDEX token_use_by_owner ON token_authority.token_use (owner, greatest(last_used_at, made_at), token_id);
CREATE INDEX secret_by_end ON token_authority.secret (ends_at) WHERE holder_kind = 'token' AND ends_at IS NOT NULL;
CREATE INDEX secret_by_late_use ON token_authority.secret (last_late_use_at)
    WHERE holder_kind = 'token' AND last_late_use_at IS NOT NULL;

-- Every run of one to three characters in a text, so that an index finds a text by any part of it, however short. The
-- cost keeps the planner from making the runs of a row when the index can tell.
CREATE FUNCTION token_authority.parts(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    SELECT coalesce(array_agg(DISTINCT substr($1, start, long)), '{}')
    FROM generate_series(1, length($1)) AS start, generate_series(1, 3) AS long
$$;

CREATE INDEX token_by_parts ON token_authority.token USING gin (token_authority.parts(folded));
DROP INDEX token_authority.token_by_grams;
DROP FUNCTION token_authority.grams(text);
