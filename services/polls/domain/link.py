"""Voting links: a participant votes by one on a page, without a token."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from services.polls.domain.errors import InvalidLink, Violation
from services.polls.domain.participant import MAX_NAME_LENGTH, read_participant
from services.polls.domain.texts import TextCleaner
from shared.runtime.text.characters import InvalidText

LinkKind = Literal["personal", "shared"]
LinkStatus = Literal["active", "expired", "revoked"]

MAX_LINKS_PER_POLL: Final = 100_000
"""Active ones."""
MAX_SHARED_LINKS_PER_DAY: Final = 200
"""New ones: each leaves a record that is kept permanently, so a token must not be able to add many."""
MAX_LINKS_PER_BATCH: Final = 1_000
MAX_PARTICIPANTS: Final = 10_000_000
DEFAULT_MAX_PER_ADDRESS: Final = 100
MAX_LABEL_LENGTH: Final = 255


class Invitation(Struct, frozen=True):
    """The participant that a personal link is for, and the name to show, which is stored only where names are kept."""

    participant: str
    name: str | None = None


class Sharing(Struct, frozen=True):
    """The limits of a shared link, by which each browser is a participant of its own.

    `max_participants` limits how many vote by it, and `max_per_address` how many of them from one address; `None` is no
    limit. The label says where the link is published.
    """

    label: str | None = None
    max_participants: int | None = None
    max_per_address: int | None = DEFAULT_MAX_PER_ADDRESS


class Link(Struct, frozen=True):
    """A voting link of a poll. Its secret is not stored.

    `participant` and `name` are those of a personal link of a poll that keeps names. `participants` counts those who
    have voted by a shared link; `None` is withheld. `created_by` is the id of a token.
    """

    id: UUID
    kind: LinkKind
    hint: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    participant: str | None = None
    name: str | None = None
    label: str | None = None
    max_participants: int | None = None
    max_per_address: int | None = None
    participants: int | None = 0

    def status_at(self, now: datetime) -> LinkStatus:
        """Return the status of the link at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    @property
    def is_full(self) -> bool:
        """Whether as many participants have voted by the link as may."""
        limit = self.max_participants
        return limit is not None and self.participants is not None and self.participants >= limit


class LinkFilter(Struct, frozen=True):
    """The conditions of a list of links, or of a revocation; `None` is any."""

    kind: LinkKind | None = None
    status: LinkStatus | None = None
    participant: str | None = None
    created_by: str | None = None


LinkPosition = tuple[datetime, UUID]
"""The creation time and id of a link, by which lists are sorted."""


def new_invitations(given: list[Invitation]) -> list[Invitation]:
    """Return the invitations with their texts as they are stored. Raise `InvalidLink` with every violation."""
    cleaner, violations = TextCleaner(), []
    cleaned = []
    for index, each in enumerate(given):
        path = ("participants", index)
        name = None if each.name is None else cleaner.line((*path, "name"), each.name, MAX_NAME_LENGTH)
        try:
            cleaned.append(Invitation(read_participant(each.participant), name))
        except InvalidText as error:
            violations.append(Violation((*path, "participant"), f"this {error}"))
    violations += [*cleaner.violations, *_repetitions(cleaned if len(cleaned) == len(given) else [])]
    if not 1 <= len(given) <= MAX_LINKS_PER_BATCH:
        reason = f"expected 1 to {MAX_LINKS_PER_BATCH:,} participants, not {len(given):,}"
        violations = [Violation(("participants",), reason)]
    if violations:
        raise InvalidLink(violations)
    return cleaned


def new_sharing(given: Sharing) -> Sharing:
    """Return the limits with the label as it is stored. Raise `InvalidLink` with every violation."""
    cleaner = TextCleaner()
    label = None if given.label is None else cleaner.line(("label",), given.label, MAX_LABEL_LENGTH)
    limits = {"maxParticipants": given.max_participants, "maxPerAddress": given.max_per_address}
    violations = [
        *cleaner.violations,
        *(
            Violation((field,), f"expected a number from 1 to {MAX_PARTICIPANTS:,}, or null for no limit")
            for field, limit in limits.items()
            if limit is not None and not 1 <= limit <= MAX_PARTICIPANTS
        ),
    ]
    if violations:
        raise InvalidLink(violations)
    return Sharing(label, given.max_participants, given.max_per_address)


def require_future(expires_at: datetime | None, now: datetime) -> None:
    """Raise `InvalidLink` if a link would expire at or before `now`."""
    if expires_at is not None and expires_at <= now:
        raise InvalidLink([Violation(("expiresAt",), "this time is over; give a later one, or null for no end")])


def _repetitions(invitations: list[Invitation]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, each in enumerate(invitations):
        before = first.setdefault(each.participant, index)
        if before != index:
            reason = f"this is the participant at index {before} too; each gets one link"
            yield Violation(("participants", index, "participant"), reason)
