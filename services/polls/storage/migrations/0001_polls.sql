-- Polls, each in one row with its options and settings, at a place of a site.

CREATE TABLE polls.poll (
    id          uuid PRIMARY KEY,
    site        text NOT NULL,
    workspace   text NOT NULL,
    content     text NOT NULL,
    container   text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    options     jsonb NOT NULL,
    settings    jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX poll_by_place ON polls.poll (site, workspace, content, container, created_at, id);

GRANT SELECT, INSERT, UPDATE, DELETE ON polls.poll TO polls;
