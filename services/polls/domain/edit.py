"""Edits of a poll, and their effect on its votes. No edit drops votes unless the caller asks for it."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from services.polls.domain.consequence import Consequence
from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.poll import Option, PollSpec, Status, close_at
from services.polls.domain.state import PollState
from shared.contract.scope import Place


class ReadOnlyFields(Struct, frozen=True):
    """Fields that a client may repeat as it read them, but not change; `None` if it left them out."""

    id: str | None = None
    place: Place | None = None
    status: Status | None = None


class Replacement(Struct, frozen=True):
    """The complete desired state of a poll."""

    spec: PollSpec
    read_only: ReadOnlyFields = ReadOnlyFields()


class Patch(Struct, frozen=True):
    """The fields of a poll that change. `settings` has the settings that change, by their names in `Settings`."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    options: Sequence[Option] | UnsetType = UNSET
    settings: Mapping[str, Any] = {}
    read_only: ReadOnlyFields = ReadOnlyFields()


class Closing(Struct, frozen=True):
    """Close the poll now."""


class Precondition(Protocol):
    """A condition on the entity tag of a poll (RFC 9110 §13.1)."""

    @property
    def has_altered_tag(self) -> bool: ...

    def allows(self, etag: str) -> bool: ...


class PollEdit(Struct, frozen=True, kw_only=True):
    """An edit of one poll.

    With `place`, the poll has to be there. With `expected`, its entity tag has to meet the condition. A consequence for
    participants who have voted has to be `allowed`.
    """

    poll_id: UUID
    content: Replacement | Patch | Closing
    place: Place | None = None
    expected: Precondition | None = None
    allowed: Set[Consequence] = frozenset()


class PollDeletion(Struct, frozen=True, kw_only=True):
    """The deletion of one poll, with all its ballots. `place` and `expected` are as in `PollEdit`."""

    poll_id: UUID
    place: Place | None = None
    expected: Precondition | None = None


class Effect(Struct, frozen=True):
    """What an edit has done to ballots, and to the promises under which they were cast.

    A dropped ballot had chosen no other option; its participant may vote again. From an anonymized ballot the
    participant and the time were erased.
    """

    dropped_options: tuple[str, ...] = ()
    dropped_votes: int = 0
    dropped_ballots: int = 0
    anonymized_ballots: int = 0
    consequences: tuple[Consequence, ...] = ()


class EditedPoll(Struct, frozen=True):
    """A poll after an edit. `is_changed` is false if the poll was as requested before it."""

    state: PollState
    effect: Effect
    is_changed: bool = True


def apply_edit(state: PollState, content: Replacement | Patch | Closing) -> PollSpec:
    """Return the spec after the edit, not yet validated. Raise `InvalidPoll` if a read-only field would change."""
    spec = state.poll.spec
    if isinstance(content, Closing):
        return close_at(spec, state.at)
    if isinstance(content, Replacement):
        edited = content.spec
    else:
        changes = {"title": content.title, "description": content.description, "options": content.options}
        given = {name: value for name, value in changes.items() if value is not UNSET}
        edited = replace(spec, settings=replace(spec.settings, **content.settings), **given)
    _require_unchanged(state, content.read_only, edited)
    return edited


def count_lost_votes(before: PollSpec, after: PollSpec, counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of votes of each option that is removed, by its id. Options are the same if their ids are."""
    kept = {option.id for option in after.options}
    return {option.id: counts.get(option.id, 0) for option in before.options if option.id not in kept}


def hides_names(before: PollSpec, after: PollSpec) -> bool:
    """Return whether names that were kept are no longer to be kept."""
    return before.settings.save_participant_names and not after.settings.save_participant_names


_HOW_TO_CLOSE: Final = (
    "the status follows from the settings: to close a poll, set endDate and closePollOnEndDate, or use 'close' in a "
    "batch; to open it, set closePollOnEndDate to false, or endDate to a later time"
)


def _require_unchanged(state: PollState, read_only: ReadOnlyFields, edited: PollSpec) -> None:
    violations = []
    if read_only.id is not None and read_only.id.lower() != str(state.poll.id):
        violations.append(Violation(("id",), "this is not the id of the poll; leave it out"))
    if read_only.place not in (None, state.poll.place):
        violations.append(
            Violation(("location",), "a poll cannot move; leave this out, or create another poll at the other place")
        )
    if read_only.status not in (None, state.status, _status_after(state, edited)):
        violations.append(Violation(("status",), _HOW_TO_CLOSE))
    if violations:
        raise InvalidPoll(violations)


def _status_after(state: PollState, edited: PollSpec) -> Status | None:
    """Return the status after the edit, or `None` if the end date is invalid."""
    try:
        return replace(state, poll=replace(state.poll, spec=edited)).status
    except (ValueError, OverflowError):
        return None
