"""The JSON of a poll, as the wire contract spells it."""

import msgspec
from msgspec import Struct

from services.polls.domain.poll import Draft, Option, Poll, ResultsVisibility, Settings


class OptionPayload(Struct, frozen=True):
    """One option. An `order` left out is the option's place in the list."""

    id: str
    title: str
    order: int | None = None


class SettingsPayload(Struct, frozen=True, rename="camel"):
    """How a poll may be answered; what is left out has its default."""

    allow_selection_of_multiple_options: bool = False
    results_visibility: ResultsVisibility = "alwaysPublic"
    end_date: str = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False


class PollBody(Struct, frozen=True):
    """What a client writes. Fields that are not known here are ignored: old clients live."""

    title: str
    options: list[OptionPayload]
    id: str | None = None
    description: str = ""
    settings: SettingsPayload = SettingsPayload()

    def to_draft(self) -> Draft:
        """The domain's draft, not yet checked."""
        return Draft(
            title=self.title,
            description=self.description,
            options=tuple(
                Option(option.id, option.title, index if option.order is None else option.order)
                for index, option in enumerate(self.options)
            ),
            settings=Settings(**msgspec.structs.asdict(self.settings)),
        )


class PollPayload(Struct, frozen=True):
    """A poll as it is answered."""

    id: str
    title: str
    description: str
    options: list[OptionPayload]
    settings: SettingsPayload

    @classmethod
    def of(cls, poll: Poll) -> "PollPayload":
        """How `poll` is shown."""
        draft = poll.draft
        return cls(
            id=str(poll.id),
            title=draft.title,
            description=draft.description,
            options=[OptionPayload(option.id, option.title, option.order) for option in draft.options],
            settings=SettingsPayload(**msgspec.structs.asdict(draft.settings)),
        )
