"""Every error of the polls service that a caller can cause. They know no HTTP: `problems.py` has the status of each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.polls.domain.consequence import Consequence


class Violation(NamedTuple):
    """A rule that a poll or a ballot breaks. `path` leads to the field in the JSON of the poll or ballot."""

    path: tuple[str | int, ...]
    reason: str


class Finding(NamedTuple):
    """A consequence of an edit. `path` leads to the field that causes it, and `reason` says what was promised."""

    consequence: Consequence
    path: tuple[str | int, ...]
    reason: str


class InvalidPoll(ValueError):
    """A poll breaks the rules in `violations`."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(violation.reason for violation in violations))
        self.violations = violations


class InvalidBallot(ValueError):
    """A ballot breaks the rules in `violations`."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(violation.reason for violation in violations))
        self.violations = violations


class InvalidLink(ValueError):
    """A voting link breaks the rules in `violations`."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(violation.reason for violation in violations))
        self.violations = violations


class UnknownTemplate(LookupError):
    """No template has the id. The message names those that exist."""


class UnknownEndpoint(LookupError):
    """The endpoint in the path does not belong to the site of the token."""


class UnknownPoll(LookupError):
    """The poll does not exist, or is not at the place, or the token may not know that it exists."""


class UnknownBallot(LookupError):
    """The participant has no ballot in the poll, or has withdrawn it."""


class UnknownLink(LookupError):
    """The poll has no voting link with this id."""


class LinkEnded(Exception):
    """The voting link does not work: it is unknown, revoked or expired, or its poll is deleted."""


class LinkFull(Exception):
    """As many participants have voted by the shared link as may."""


class AddressLimitReached(Exception):
    """As many participants have voted by the shared link from this address as may."""


class LinksCreatedBefore(Exception):
    """The form was sent before, and the addresses of its voting links were shown once then."""


class TooManyLinks(Exception):
    """The poll would have more voting links than it may. The message says how many."""


class PollChanged(Exception):
    """The entity tag of the poll does not meet the condition of the request.

    `has_altered_tag`: the condition has a tag that a proxy has altered, which never meets it.
    """

    def __init__(self, *, has_altered_tag: bool) -> None:
        super().__init__()
        self.has_altered_tag = has_altered_tag


class PollClosed(Exception):
    """The poll is closed, so no ballot can be cast or withdrawn."""


class PollBusy(Exception):
    """The poll was edited between reading it and voting, several times in a row."""


class AlreadyVoted(Exception):
    """The poll allows one ballot, and the participant has cast one, or cast and withdrawn one."""


class NamesNotKept(Exception):
    """The poll does not keep names, so its ballots cannot be listed."""


class VotesWouldBeDropped(Exception):
    """The edit removes options that have votes, of a poll with this number of ballots.

    `votes` maps the ids of these options to the number of votes, or to `None` if the caller may not see it.
    """

    def __init__(self, votes: Mapping[str, int | None], ballots: int) -> None:
        super().__init__(f"{len(votes)} options")
        self.votes = votes
        self.ballots = ballots


class PromisesWouldBeBroken(Exception):
    """The edit breaks promises to participants, who have cast `ballots`, and the caller does not allow that."""

    def __init__(self, findings: Sequence[Finding], ballots: int) -> None:
        super().__init__("; ".join(finding.reason for finding in findings))
        self.findings = findings
        self.ballots = ballots


class InsecureSignIn(Exception):
    """The service is reached without HTTPS, so others could read the token of someone who signs in."""


class BatchRolledBack(Exception):
    """The item succeeded, and was rolled back because another item of the atomic batch failed."""


class KeyReused(Exception):
    """The Idempotency-Key was used before with another request."""


class KeyInUse(Exception):
    """A request with the same Idempotency-Key is still in progress."""


class TooManyEdits(Exception):
    """The poll was edited as often within a day as its audit trail takes."""


class TooManyStoredResponses(Exception):
    """As many responses to requests with an Idempotency-Key are stored for the token as it may have."""


class TooManyStreams(Exception):
    """The token has `limit` event streams open in this process, and may have no more."""

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class StreamLimitReached(Exception):
    """This process has as many event streams open as it is configured for."""
