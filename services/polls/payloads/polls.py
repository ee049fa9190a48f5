"""A poll as `/v1` reads and returns it."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import Effect, Patch, ReadOnlyFields, Replacement
from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.new_poll import NewPoll
from services.polls.domain.poll import Option, PollSpec, ResultsVisibility, Settings, Status, in_order
from services.polls.domain.state import PollState
from services.polls.payloads.fields import (
    MAX_SEGMENT_LENGTH,
    OPTIONS,
    SEGMENT,
    Description,
    EndDate,
    OptionId,
    OptionTitle,
    Order,
    PollId,
    ReadOnly,
    Time,
    Title,
)
from services.polls.payloads.results import ResultsPayload
from shared.contract.scope import Place


class OptionPayload(Struct, frozen=True):
    """An option of a poll."""

    id: OptionId
    title: OptionTitle
    order: Order


class OptionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An option of a poll. The default of `order` is the option's index in the list."""

    id: OptionId
    title: OptionTitle
    order: Order | None = None


class SettingsPayload(Struct, frozen=True, rename="camel"):
    """The settings of a poll. A setting that is left out has its default."""

    allow_selection_of_multiple_options: bool = False
    results_visibility: ResultsVisibility = "alwaysPublic"
    end_date: EndDate = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "SettingsPayload":
        """Return the payload of `settings`."""
        return msgspec.convert(settings, cls, from_attributes=True)

    def to_settings(self) -> Settings:
        """Return the settings, not yet validated."""
        return Settings(**asdict(self))


class SettingsBody(SettingsPayload, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The settings of a poll. A setting that is left out has its default."""


class LocationPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a poll is: in Jira a project key and an issue key, in Confluence a space id, a page id and a macro id."""

    workspace: Annotated[str, SEGMENT, Meta(description="project key, or space id", examples=["PLAT"])]
    content: Annotated[str, SEGMENT, Meta(description="issue key, or page id", examples=["PLAT-1"])]
    container: Annotated[
        str,
        Meta(
            description="macro id in Confluence, else empty",
            extra_json_schema={"maxLength": MAX_SEGMENT_LENGTH},
        ),
    ] = ""

    @classmethod
    def of(cls, place: Place) -> "LocationPayload":
        """Return the payload of `place`."""
        return cls(place.workspace, place.content, place.container)

    def to_place(self) -> Place:
        """Return the place. Raise `InvalidPoll`."""
        texts = {"workspace": self.workspace, "content": self.content, "container": self.container}
        violations = [
            Violation(("location", name), f"expected up to {MAX_SEGMENT_LENGTH} characters, none of them NUL")
            for name, text in texts.items()
            if "\0" in text or len(text) > MAX_SEGMENT_LENGTH
        ]
        violations += [
            Violation(("location", name), "this may not be empty")
            for name in ("workspace", "content")
            if not texts[name]
        ]
        if violations:
            raise InvalidPoll(violations)
        return Place(**texts)


class EffectPayload(Struct, frozen=True, rename="camel"):
    """What an edit has done to votes.

    `consequences` are those that had to be allowed because participants had voted. A dropped ballot had chosen no other
    option. From an anonymized ballot the participant and the time were erased.
    """

    dropped_options: list[str]
    dropped_votes: int
    dropped_ballots: int
    anonymized_ballots: int
    consequences: list[Consequence]


class ChangeAfterVotes(Struct, frozen=True):
    """A change for participants who had voted already, and the last time that an edit made it."""

    consequence: Consequence
    at: Time


class PollPayload(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A poll. `results` are present if they were requested, `effect` if the poll was edited by this request.

    `changedAfterVotes` is present if an edit has broken a promise to participants who had voted. Show it to them.
    """

    id: PollId
    title: Title
    description: Description
    options: Annotated[list[OptionPayload], OPTIONS]
    settings: SettingsPayload
    location: LocationPayload
    status: Status
    created_at: Time
    updated_at: Time
    etag: Annotated[str, Meta(description="for `If-Match`, the same as in the header `ETag`", examples=['"1"'])]
    changed_after_votes: list[ChangeAfterVotes] = []
    results: ResultsPayload | UnsetType = UNSET
    effect: EffectPayload | UnsetType = UNSET

    @classmethod
    def of(
        cls, state: PollState, *, results: ResultsPayload | UnsetType = UNSET, effect: Effect | None = None
    ) -> "PollPayload":
        """Return the payload of a poll."""
        poll, spec = state.poll, state.poll.spec
        return cls(
            id=str(poll.id),
            title=spec.title,
            description=spec.description,
            options=options_of(spec),
            settings=SettingsPayload.of(spec.settings),
            location=LocationPayload.of(poll.place),
            status=state.status,
            created_at=poll.created_at,
            updated_at=poll.updated_at,
            etag=state.etag,
            changed_after_votes=[ChangeAfterVotes(*change) for change in poll.changed_after_votes.items()],
            results=results,
            effect=UNSET if effect is None else msgspec.convert(effect, EffectPayload, from_attributes=True),
        )


class PollPage(Struct, frozen=True):
    """A page of polls. `next` is the `cursor` of the following page, null on the last one."""

    items: list[PollPayload]
    next: str | None


class WritePoll(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The complete desired state of a poll. Read-only fields may be repeated as they were returned."""

    title: Title
    options: Annotated[list[OptionBody], OPTIONS]
    description: Description = ""
    settings: SettingsBody = SettingsBody()
    id: PollId | None = None
    location: LocationPayload | None = None
    status: Status | None = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None
    etag: ReadOnly = None
    changed_after_votes: ReadOnly = None
    results: ReadOnly = None
    effect: ReadOnly = None

    def to_replacement(self) -> Replacement:
        """Return the replacement, not yet validated."""
        spec = PollSpec(self.title, to_options(self.options), self.description, self.settings.to_settings())
        return Replacement(spec, _read_only(self.id, self.location, self.status))


class PatchSettings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The settings that change. Null restores a default."""

    allow_selection_of_multiple_options: bool | UnsetType | None = UNSET
    results_visibility: ResultsVisibility | UnsetType | None = UNSET
    end_date: EndDate | UnsetType | None = UNSET
    hide_absolute_numbers: bool | UnsetType | None = UNSET
    allow_revote: bool | UnsetType | None = UNSET
    save_participant_names: bool | UnsetType | None = UNSET
    close_poll_on_end_date: bool | UnsetType | None = UNSET
    allow_comment: bool | UnsetType | None = UNSET

    def to_changes(self) -> dict[str, Any]:
        """Return the settings that change, by their names in `Settings`."""
        given = {name: value for name, value in asdict(self).items() if value is not UNSET}
        return {name: _DEFAULTS[name] if value is None else value for name, value in given.items()}


_DEFAULTS: Final = asdict(Settings())


class PatchPoll(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A JSON merge patch for a poll (RFC 7396). Read-only fields may be repeated as they were returned."""

    title: Title | UnsetType = UNSET
    options: Annotated[list[OptionBody], OPTIONS] | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    settings: PatchSettings | UnsetType | None = UNSET
    id: PollId | UnsetType | None = UNSET
    location: LocationPayload | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    created_at: ReadOnly = UNSET
    updated_at: ReadOnly = UNSET
    etag: ReadOnly = UNSET
    changed_after_votes: ReadOnly = UNSET
    results: ReadOnly = UNSET
    effect: ReadOnly = UNSET

    def to_patch(self) -> Patch:
        """Return the patch, in which each null has been replaced by a default."""
        if isinstance(self.settings, PatchSettings):
            settings = self.settings.to_changes()
        else:
            settings = {} if self.settings is UNSET else _DEFAULTS
        return Patch(
            title=self.title,
            description="" if self.description is None else self.description,
            options=UNSET if self.options is UNSET else to_options(self.options),
            settings=settings,
            read_only=_read_only(
                None if self.id is UNSET else self.id,
                None if self.location is UNSET else self.location,
                None if self.status is UNSET else self.status,
            ),
        )


class CreatePoll(Struct, frozen=True, forbid_unknown_fields=True):
    """A poll to be created. Without a `template`, `title` and `options` are required."""

    location: LocationPayload
    template: Annotated[
        str | None, Meta(description="the id of a template, as GET /v1/templates lists them", examples=["stars"])
    ] = None
    title: Title | UnsetType = UNSET
    options: Annotated[list[OptionBody], OPTIONS] | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    settings: SettingsBody | UnsetType = UNSET

    def to_new_poll(self) -> NewPoll:
        """Return the poll to be created. Raise `InvalidPoll` if the location is invalid."""
        return NewPoll(
            place=self.location.to_place(),
            template=self.template,
            title=self.title,
            options=UNSET if self.options is UNSET else to_options(self.options),
            description=self.description,
            settings=UNSET if self.settings is UNSET else self.settings.to_settings(),
        )


EXAMPLE: Final = {
    "title": "Which day suits you?",
    "options": [{"id": "mon", "title": "Monday"}, {"id": "tue", "title": "Tuesday"}],
    "settings": {"allowRevote": True, "saveParticipantNames": True, "allowComment": True},
}
CREATE_EXAMPLE: Final = {**EXAMPLE, "location": {"workspace": "PLAT", "content": "PLAT-1"}}
PATCH_EXAMPLE: Final = {"settings": {"allowSelectionOfMultipleOptions": True}}


def options_of(spec: PollSpec) -> list[OptionPayload]:
    """Return the payloads of the options of a poll, in their order."""
    return [OptionPayload(option.id, option.title, option.order) for option in in_order(spec.options)]


def to_options(bodies: list[OptionBody]) -> tuple[Option, ...]:
    """Return the options, not yet validated."""
    return tuple(
        Option(body.id, body.title, index if body.order is None else body.order) for index, body in enumerate(bodies)
    )


def _read_only(poll_id: str | None, location: LocationPayload | None, status: Status | None) -> ReadOnlyFields:
    place = None if location is None else Place(location.workspace, location.content, location.container)
    return ReadOnlyFields(poll_id, place, status)
