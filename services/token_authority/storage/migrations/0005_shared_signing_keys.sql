-- One signing key for all processes of the authority, its private half encrypted with a secret that only they have.
-- The keys that single processes have made for themselves go, and with them what they have signed.

DROP TABLE token_authority.signing_key;

-- A key signs from signs_from on, until that of the next one. Nothing of a row is ever changed.
CREATE TABLE token_authority.signing_key (
    kid                   text PRIMARY KEY,
    public_key            bytea NOT NULL CHECK (length(public_key) = 32),
    nonce                 bytea NOT NULL UNIQUE CHECK (length(nonce) = 12),
    encrypted_private_key bytea NOT NULL CHECK (length(encrypted_private_key) = 48),
    created_at            timestamptz NOT NULL DEFAULT statement_timestamp(),
    signs_from            timestamptz NOT NULL
);

GRANT SELECT, DELETE, INSERT (kid, public_key, nonce, encrypted_private_key, signs_from)
    ON token_authority.signing_key TO token_authority;
