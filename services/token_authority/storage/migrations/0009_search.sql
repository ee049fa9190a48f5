-- Searches find tokens by their owner, their id and the last characters of their secrets too, in any Unicode normal form.

-- What a search compares: the folded text in NFC, with the owner, which the previous release leaves out. Rows from before
-- get it from the authority, little by little, because the index of this text is slow to write.
CREATE FUNCTION token_authority.search_text(folded text, owner text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT normalize(
        folded || CASE WHEN strpos(folded, lower(coalesce(owner, ''))) > 0 THEN '' ELSE E'\n' || lower(owner) END, NFC
    )
$$;

-- The previous release may still write rows while it is replaced.
CREATE FUNCTION token_authority.fold_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.folded := token_authority.search_text(NEW.folded, NEW.owner);
    RETURN NEW;
END
$$;

CREATE TRIGGER fold_search_text BEFORE INSERT OR UPDATE OF folded, owner ON token_authority.token
    FOR EACH ROW EXECUTE FUNCTION token_authority.fold_search_text();

CREATE INDEX token_by_lower_id ON token_authority.token (lower(id));
CREATE INDEX secret_by_hint ON token_authority.secret (lower(right(hint, 4))) WHERE holder_kind = 'token';
