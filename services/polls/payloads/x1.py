"""A poll and the query in the Team Voice contract. Unknown fields and parameters are ignored."""

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import asdict

from services.polls.domain.consequence import Consequence
from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.poll import Option, PollSpec, ResultsVisibility, Settings
from services.polls.domain.state import PollState
from services.polls.payloads.fields import (
    OPTIONS,
    Description,
    EndDate,
    OptionId,
    OptionTitle,
    Order,
    PollId,
    Title,
)
from services.polls.payloads.parameters import Allow, DropVotes, read_allowed
from services.polls.payloads.polls import OptionPayload, options_of
from services.polls.payloads.results import ResultsPayload
from shared.contract.scope import Place

Workspace = Annotated[
    str, Meta(min_length=1, description="project key in Jira, space id in Confluence", examples=["PLAT"])
]
Content = Annotated[
    str, Meta(min_length=1, description="issue key in Jira, page id in Confluence", examples=["PLAT-1"])
]
Container = Annotated[str, Meta(description="macro id in Confluence; left out in Jira")]


class EndpointPath(Struct, frozen=True):
    """The site."""

    endpoint: Annotated[str, Meta(description="the endpoint of the site, issued with the token", examples=["A" * 27])]


class PlaceQuery(Struct, frozen=True):
    """A place. Unknown parameters are ignored."""

    type: Literal["polls"]
    workspace: Workspace
    content: Content
    container: Container = ""

    def to_place(self) -> Place:
        """Return the place."""
        return Place(self.workspace, self.content, self.container)


class ListQuery(PlaceQuery, frozen=True):
    """The polls at a place, and what to include with them."""

    poll_id: Annotated[PollId | None, Meta(description="only this poll")] = field(default=None, name="pollId")
    expand: Annotated[Literal["results", ""] | None, Meta(description="include the results in each poll")] = None


class PollQuery(PlaceQuery, frozen=True, kw_only=True):
    """A poll and its place."""

    poll_id: Annotated[PollId, Meta(min_length=1)] = field(name="pollId")


class EditQuery(PollQuery, frozen=True, kw_only=True):
    """A poll, its place, and what the edit may do to ballots, and to the promises under which they were cast."""

    drop_votes: DropVotes = field(default=False, name="dropVotes")
    allow: Allow = ""

    def to_allowed(self) -> frozenset[Consequence]:
        """Return the consequences that the edit may have. Raise `BadRequest`."""
        return read_allowed(self.allow, drop_votes=self.drop_votes)


class ContractOption(Struct, frozen=True):
    """An option of a poll. The default of `order` is the option's index in the list.

    A number is read as text, and an order as a number: some automations cannot choose the type of what they insert.
    """

    id: OptionId | int | float
    title: OptionTitle | int | float
    order: Order | float | str | None = None


class ContractSettings(Struct, frozen=True, rename="camel"):
    """The settings of a poll. A setting that is left out has its default."""

    allow_selection_of_multiple_options: bool = False
    results_visibility: ResultsVisibility = "alwaysPublic"
    end_date: EndDate = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False


class ContractSettingsBody(Struct, frozen=True, rename="camel"):
    """The settings of a poll. A setting that is left out or null has its default."""

    allow_selection_of_multiple_options: bool | None = None
    results_visibility: ResultsVisibility | None = None
    end_date: EndDate | None = None
    hide_absolute_numbers: bool | None = None
    allow_revote: bool | None = None
    save_participant_names: bool | None = None
    close_poll_on_end_date: bool | None = None
    allow_comment: bool | None = None

    def to_settings(self) -> Settings:
        """Return the settings, not yet validated."""
        return Settings(**{name: value for name, value in asdict(self).items() if value is not None})


class ContractPollBody(Struct, frozen=True):
    """A poll to be created or replaced. Unknown fields are ignored and not stored."""

    title: Title | int | float
    options: Annotated[list[ContractOption], OPTIONS]
    id: PollId | None = None
    description: Description | None = None
    settings: ContractSettingsBody | None = None

    def to_spec(self) -> PollSpec:
        """Return the poll, not yet validated. Raise `InvalidPoll` if an order is not a number."""
        options = tuple(
            Option(_to_text(option.id), _to_text(option.title), _to_order(option.order, index))
            for index, option in enumerate(self.options)
        )
        settings = Settings() if self.settings is None else self.settings.to_settings()
        return PollSpec(_to_text(self.title), options, self.description or "", settings)


class ContractPoll(Struct, frozen=True, omit_defaults=True):
    """A poll. `results` are present if `expand` asks for them."""

    id: PollId
    title: Title
    description: Description
    options: Annotated[list[OptionPayload], OPTIONS]
    settings: ContractSettings
    results: ResultsPayload | UnsetType = UNSET

    @classmethod
    def of(cls, state: PollState, results: ResultsPayload | UnsetType = UNSET) -> "ContractPoll":
        """Return the payload of a poll."""
        spec = state.poll.spec
        settings = msgspec.convert(spec.settings, ContractSettings, from_attributes=True)
        return cls(str(state.poll.id), spec.title, spec.description, options_of(spec), settings, results)


class Deleted(Struct, frozen=True):
    """A poll was deleted. The object is empty, for clients that read every body as JSON."""


_INTEGER: Final = re.compile(r"-?[0-9]{1,10}")


def _to_text(value: str | float) -> str:
    """Return a number as text: `1` and `1.0` are "1"."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


def _to_order(value: str | float | None, index: int) -> int:
    """Return the order of the option at an index, which is its default. Raise `InvalidPoll`."""
    if value is None:
        return index
    text = _to_text(value).strip()
    if not _INTEGER.fullmatch(text):
        raise InvalidPoll([Violation(("options", index, "order"), "expected a whole number")])
    return int(text)
