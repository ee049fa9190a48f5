-- Ballots are listed by who has cast them, never by their hashes: that order would tell whose a ballot is once names are erased.

CREATE INDEX ballot_by_participant ON polls.ballot (poll_id, participant COLLATE "C") WHERE participant IS NOT NULL;
