"""A poll with what its ballots come to, as both were at one moment."""

from datetime import datetime

from msgspec import Struct

from services.polls.domain.poll import Poll
from services.polls.domain.results import Audience, Results, Tally, results_of


class PollState(Struct, frozen=True):
    """`at` is the database's clock, so that all replicas agree on what is closed; `revision` grows with each change of
    the ballots.
    """

    poll: Poll
    tally: Tally
    revision: int
    at: datetime

    @property
    def is_closed(self) -> bool:
        """Whether nobody can vote any more."""
        return self.poll.is_closed(self.at)

    def results(self, sight: Audience) -> Results:
        """What the votes come to, as far as `sight` goes."""
        return results_of(self.poll.draft, self.tally, now=self.at, is_closed=self.is_closed, sight=sight)
