-- A key stays published as long as its process says so: then it is found however long the process has run, and however
-- many others have come and gone.

ALTER TABLE token_authority.signing_key ADD COLUMN renewed_at timestamptz NOT NULL DEFAULT now();

GRANT UPDATE (renewed_at) ON token_authority.signing_key TO token_authority;
