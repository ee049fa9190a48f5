-- Reviews that get done: findings that an administrator has looked at, and keeps for some time.

-- A finding is left out of the review of tokens until `kept_until`; then a task deletes its row. A row is removed with
-- its token. The key begins with the token, so that a removal finds the rows by the index, and it has all that the
-- review asks. A revocation changes no key of the token, so the reference does not concern it. The row of the token is
-- locked before one of these is written, in the same order as by a removal.
CREATE TABLE token_authority.kept_finding (
    token_id   text NOT NULL REFERENCES token_authority.token ON DELETE CASCADE,
    kind       text NOT NULL,
    kept_until timestamptz NOT NULL,
    kept_by    text NOT NULL,
    PRIMARY KEY (token_id, kind) INCLUDE (kept_until)
);

CREATE INDEX kept_finding_by_end ON token_authority.kept_finding (kept_until);

GRANT SELECT, INSERT, DELETE ON token_authority.kept_finding TO token_authority;
GRANT UPDATE (kept_until, kept_by) ON token_authority.kept_finding TO token_authority;
