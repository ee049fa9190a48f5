"""A poll as `/v1` reads and answers it, and the parts that both faces share."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from services.polls.domain.edit import Effect
from services.polls.domain.poll import InvalidPoll, Option, PollSpec, ResultsVisibility, Settings, Violation
from services.polls.domain.results import Status
from services.polls.domain.state import PollState
from services.polls.domain.templates import template
from services.polls.payloads.results import ResultsPayload
from services.polls.payloads.texts import (
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
from shared.contract.scope import Place


class OptionPayload(Struct, frozen=True):
    """One option, as it is answered."""

    id: OptionId
    title: OptionTitle
    order: Order


class OptionBody(Struct, frozen=True):
    """One option. An `order` left out is the option's place in the list."""

    id: OptionId
    title: OptionTitle
    order: Order | None = None


class SettingsPayload(Struct, frozen=True, rename="camel"):
    """How a poll may be answered; what is left out has its default."""

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
        """How `settings` are shown."""
        return cls(**msgspec.structs.asdict(settings))

    def to_settings(self) -> Settings:
        """The domain's settings, not yet checked."""
        return Settings(**msgspec.structs.asdict(self))


class StrictOption(OptionBody, frozen=True, forbid_unknown_fields=True):
    """One option. An `order` left out is the option's place in the list."""


class StrictSettings(SettingsPayload, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a poll may be answered; what is left out has its default."""


class LocationPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a poll is: a Jira project's key and an issue's, or a Confluence space's id, a page's and a macro's."""

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
        """How `place` is shown."""
        return cls(place.workspace, place.content, place.container)

    def to_place(self) -> Place:
        """The place. Raises `InvalidPoll`."""
        texts = {"workspace": self.workspace, "content": self.content, "container": self.container}
        violations = [
            Violation(("location", name), f"up to {MAX_SEGMENT_LENGTH} characters without NUL are wanted here")
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


_HOW_TO_CLOSE: Final = (
    "a poll is closed by its settings: set endDate and closePollOnEndDate, or use the batch's 'close'; to open it, set "
    "closePollOnEndDate to false or endDate to later"
)


class EffectPayload(Struct, frozen=True, rename="camel"):
    """What an edit has done to votes. A dropped ballot had no other option; an anonymized one has lost who and when."""

    dropped_options: list[str]
    dropped_votes: int
    dropped_ballots: int
    anonymized_ballots: int


class PollPayload(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A poll. `results` are there where they were asked for, `effect` where the poll has just been edited."""

    id: PollId
    title: Title
    description: Description
    options: Annotated[list[OptionPayload], OPTIONS]
    settings: SettingsPayload
    location: LocationPayload
    status: Status
    created_at: Time
    updated_at: Time
    etag: Annotated[str, Meta(description="for `If-Match`, as the header has it", examples=['"1"'])]
    results: ResultsPayload | UnsetType = UNSET
    effect: EffectPayload | UnsetType = UNSET

    @classmethod
    def of(
        cls, state: PollState, *, results: ResultsPayload | UnsetType = UNSET, effect: Effect | None = None
    ) -> "PollPayload":
        """How the poll is shown."""
        poll, draft = state.poll, state.poll.draft
        return cls(
            id=str(poll.id),
            title=draft.title,
            description=draft.description,
            options=options_of(draft),
            settings=SettingsPayload.of(draft.settings),
            location=LocationPayload.of(poll.place),
            status=status_of(state),
            created_at=poll.created_at,
            updated_at=poll.updated_at,
            etag=etag_of(state),
            results=results,
            effect=UNSET if effect is None else msgspec.convert(effect, EffectPayload, from_attributes=True),
        )


class PollPage(Struct, frozen=True):
    """Some polls, and the `cursor` for those that follow."""

    items: list[PollPayload]
    next: str | None


class WritePoll(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A poll as it shall be. What was answered with it may be repeated; `id` and `location` never change."""

    title: Title
    options: Annotated[list[StrictOption], OPTIONS]
    description: Description = ""
    settings: StrictSettings = StrictSettings()
    id: PollId | None = None
    location: LocationPayload | None = None
    status: Status | None = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None
    etag: ReadOnly = None
    results: ReadOnly = None
    effect: ReadOnly = None

    def to_draft(self, state: PollState) -> PollSpec:
        """What the poll shall be, not yet checked. Raises `InvalidPoll` for what cannot be written."""
        poll, violations = state.poll, []
        if self.id not in (None, str(poll.id)):
            violations.append(Violation(("id",), "this is not the id of the poll that the URL names; leave it out"))
        if self.location not in (None, LocationPayload.of(poll.place)):
            violations.append(
                Violation(("location",), "a poll cannot move; leave this out, or create it anew where it belongs")
            )
        draft = PollSpec(self.title, drafted_options(self.options), self.description, self.settings.to_settings())
        if self.status not in (None, status_of(state), _status_after(draft, state)):
            violations.append(Violation(("status",), _HOW_TO_CLOSE))
        if violations:
            raise InvalidPoll(violations)
        return draft


class PatchSettings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The settings that shall be others; null brings a default back."""

    allow_selection_of_multiple_options: bool | UnsetType | None = UNSET
    results_visibility: ResultsVisibility | UnsetType | None = UNSET
    end_date: EndDate | UnsetType | None = UNSET
    hide_absolute_numbers: bool | UnsetType | None = UNSET
    allow_revote: bool | UnsetType | None = UNSET
    save_participant_names: bool | UnsetType | None = UNSET
    close_poll_on_end_date: bool | UnsetType | None = UNSET
    allow_comment: bool | UnsetType | None = UNSET


class PatchPoll(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What of a poll shall be otherwise (RFC 7396). What was answered with it may be repeated."""

    title: Title | UnsetType = UNSET
    options: Annotated[list[StrictOption], OPTIONS] | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    settings: PatchSettings | UnsetType | None = UNSET
    id: PollId | UnsetType | None = UNSET
    location: LocationPayload | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    created_at: ReadOnly = UNSET
    updated_at: ReadOnly = UNSET
    etag: ReadOnly = UNSET
    results: ReadOnly = UNSET
    effect: ReadOnly = UNSET


class CreatePoll(Struct, frozen=True, forbid_unknown_fields=True):
    """A poll to be made. What a `template` has need not be given; without one, `title` and `options` are required."""

    location: LocationPayload
    template: Annotated[
        str | None, Meta(description="the id of a template, as GET /v1/templates lists them", examples=["stars"])
    ] = None
    title: Title | UnsetType = UNSET
    options: Annotated[list[StrictOption], OPTIONS] | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    settings: StrictSettings | UnsetType = UNSET

    def to_draft(self) -> PollSpec:
        """The domain's draft, not yet checked. Raises `InvalidPoll`, `UnknownTemplate`."""
        given: dict[str, Any] = {
            "title": self.title,
            "options": UNSET if self.options is UNSET else drafted_options(self.options),
            "description": self.description,
            "settings": UNSET if self.settings is UNSET else self.settings.to_settings(),
        }
        given = {name: value for name, value in given.items() if value is not UNSET}
        if self.template is not None:
            return msgspec.structs.replace(template(self.template).draft, **given)
        missing = [name for name in ("title", "options") if name not in given]
        if missing:
            raise InvalidPoll(
                [Violation((name,), "this is required, unless 'template' names a template") for name in missing]
            )
        return PollSpec(**given)


EXAMPLE: Final = {
    "title": "Which day suits you?",
    "options": [{"id": "mon", "title": "Monday"}, {"id": "tue", "title": "Tuesday"}],
    "settings": {"allowRevote": True, "saveParticipantNames": True, "allowComment": True},
}
"""A poll as a client may write it."""

CREATE_EXAMPLE: Final = {**EXAMPLE, "location": {"workspace": "PLAT", "content": "PLAT-1"}}

PATCH_EXAMPLE: Final = {"settings": {"hideAbsoluteNumbers": True}}


def status_of(state: PollState) -> Status:
    """Whether the poll is open, in a word."""
    return "closed" if state.is_closed else "open"


def _status_after(draft: PollSpec, state: PollState) -> Status | None:
    """What the poll's status is once it is so; `None` where its end cannot be read."""
    try:
        return status_of(msgspec.structs.replace(state, poll=msgspec.structs.replace(state.poll, draft=draft)))
    except (ValueError, OverflowError):
        return None


def etag_of(state: PollState) -> str:
    """Another one whenever the poll is shown otherwise: by an edit, or by being closed."""
    return f'"{state.poll.version}-closed"' if state.is_closed else f'"{state.poll.version}"'


def options_of(draft: PollSpec) -> list[OptionPayload]:
    """How the options of a poll are shown."""
    return [OptionPayload(option.id, option.title, option.order) for option in draft.options]


def drafted_options(options: list[OptionBody] | list[StrictOption]) -> tuple[Option, ...]:
    """The domain's options, not yet checked."""
    return tuple(
        Option(option.id, option.title, index if option.order is None else option.order)
        for index, option in enumerate(options)
    )
