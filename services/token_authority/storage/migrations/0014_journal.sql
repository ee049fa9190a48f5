-- Audit records that were lost with a restored database, and that a restoration has made up for. A journal that ends with
-- one of them goes on after the record `base_seq`, from which on the log has other records.
CREATE TABLE token_authority.replaced_record (
    seq      bigint NOT NULL CHECK (seq > 0),
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    base_seq bigint NOT NULL CHECK (base_seq >= 0),
    PRIMARY KEY (seq, hash)
);

GRANT SELECT, INSERT ON token_authority.replaced_record TO token_authority;
