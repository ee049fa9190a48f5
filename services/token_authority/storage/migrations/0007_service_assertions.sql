-- Services that show who they are by JWTs that they sign: each JWT is good once, at whichever process it is presented.

-- What has been presented, by the SHA-256 of its jti; a row goes when its JWT would be refused for its age anyway.
-- Nothing of a row is ever changed.
CREATE TABLE token_authority.service_assertion (
    client_id  text NOT NULL REFERENCES token_authority.service,
    jti_digest bytea NOT NULL CHECK (length(jti_digest) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti_digest)
);

CREATE INDEX service_assertion_by_expiry ON token_authority.service_assertion (expires_at);

GRANT SELECT, INSERT, DELETE ON token_authority.service_assertion TO token_authority;
