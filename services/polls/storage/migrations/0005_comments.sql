-- Comments are listed without their participants, in an order that says nothing about when they were written.

CREATE INDEX ballot_by_comment ON polls.ballot (poll_id, hashtextextended(comment, 0)) WHERE comment IS NOT NULL;
