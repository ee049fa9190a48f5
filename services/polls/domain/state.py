"""A poll together with its tally, both as of one moment."""

from datetime import datetime

from msgspec import Struct

from services.polls.domain.poll import Poll, Settings, Status, closing_time
from services.polls.domain.results import Audience, Results, Tally, results_of


class PollState(Struct, frozen=True):
    """A poll and its tally at the time `at` of the database, so that all replicas agree on what is closed.

    `revision` grows with each change of the ballots.
    """

    poll: Poll
    tally: Tally
    revision: int
    at: datetime

    @property
    def is_closed(self) -> bool:
        """Whether the poll no longer takes votes."""
        return self.is_closed_under(self.poll.spec.settings)

    def is_closed_under(self, settings: Settings) -> bool:
        """Whether the poll would take no votes now if it had these valid settings."""
        end = closing_time(settings)
        return end is not None and end <= self.at

    @property
    def status(self) -> Status:
        """`open` or `closed`."""
        return "closed" if self.is_closed else "open"

    @property
    def etag(self) -> str:
        """The entity tag (RFC 9110 §8.8.3). It changes with each edit, and when the poll closes or opens."""
        return f'"{self.poll.version}-closed"' if self.is_closed else f'"{self.poll.version}"'

    def results(self, audience: Audience) -> Results:
        """Return the results, as far as the audience may see them."""
        return results_of(self.poll.spec, self.tally, now=self.at, is_closed=self.is_closed, audience=audience)
