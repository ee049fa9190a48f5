"""What the polls API answers, and a new poll, as Python has them; what is withheld is `None`."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

Status = Literal["open", "closed"]
"""By which polls can be asked for."""


class Location(Struct, frozen=True):
    """Where a poll is: a Jira project's key and an issue's, or a Confluence space's id, a page's and a macro's."""

    workspace: str
    content: str
    container: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.workspace, self.content, self.container)))


class Option(Struct, frozen=True, omit_defaults=True):
    """One answer. Answered ones have an `order`; left out of a new one, it is the option's place in the list."""

    id: str
    title: str
    order: int | None = None


class Settings(Struct, frozen=True, rename="camel"):
    """How a poll may be answered. `results_visibility` is alwaysPublic, afterVote, afterClose or never; `end_date` is
    empty, a date (the end of that day in UTC), or a date and time as in RFC 3339.
    """

    allow_selection_of_multiple_options: bool = False
    results_visibility: str = "alwaysPublic"
    end_date: str = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False


class NewPoll(Struct, frozen=True, omit_defaults=True):
    """A poll to be made. What a `template` has need not be given; without one, `title` and `options` are required."""

    location: Location
    template: str | None = None
    title: str | None = None
    options: list[Option] | None = None
    description: str | None = None
    settings: Settings | None = None


class OptionResult(Struct, frozen=True, rename="camel"):
    """What one option has got: of all votes the `percentage`, of the participants the `participant_percentage`."""

    id: str
    title: str
    order: int
    votes: int | None
    percentage: float | None
    participant_percentage: float | None
    rank: int | None


class Results(Struct, frozen=True, rename="camel"):
    """What the votes come to. `withheld_reason` is the setting that withholds them, or the numbers of votes alone:
    afterVote, afterClose, never or hideAbsoluteNumbers.
    """

    status: str
    final: bool
    calculated_at: datetime
    visible: bool
    withheld_reason: str | None
    participants: int | None
    votes: int | None
    average: float | None
    options: list[OptionResult]


class Effect(Struct, frozen=True, rename="camel"):
    """What an edit has done to votes."""

    dropped_options: list[str]
    dropped_votes: int
    dropped_ballots: int
    anonymized_ballots: int


class Poll(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A poll. With its `etag`, an edit can ask that nobody has edited it meanwhile; `results` are there where they were
    asked for, and `effect` where it has just been edited.
    """

    id: str
    title: str
    description: str
    options: list[Option]
    settings: Settings
    location: Location
    status: str
    created_at: datetime
    updated_at: datetime
    etag: str | None = None
    results: Results | None = None
    effect: Effect | None = None


class Ballot(Struct, frozen=True, rename="camel"):
    """What one participant has chosen. `name` and `cast_at` are `None` where the poll keeps no names."""

    participant: str
    option_ids: list[str]
    name: str | None = None
    comment: str | None = None
    cast_at: datetime | None = None


class Template(Struct, frozen=True):
    """What a new poll can begin with. Results of one with the options of a `scored` template have an average."""

    id: str
    name: str
    title: str
    description: str
    options: list[Option]
    settings: Settings
    scored: bool


class Problem(Struct, frozen=True):
    """Why an item of a batch failed; `errors` has a `detail` and a `pointer` for each thing that is wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = []


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of one item of a batch; `status` is what a request of its own would be answered with."""

    op: str
    status: int
    id: str | None = None
    etag: str | None = None
    poll: Poll | None = None
    problem: Problem | None = None


class Outcomes(Struct, frozen=True):
    """What became of each item of a batch, in the order of the request; nothing where it was not `committed`."""

    committed: bool
    items: list[Outcome]


class Event(Struct, frozen=True, tag_field="event"):
    """Something that has become of a poll."""


class PollIs(Event, frozen=True, tag="poll"):
    """The poll as it is from now on: when the stream begins, and after each edit."""

    poll: Poll


class ResultsAre(Event, frozen=True, tag="results"):
    """Its results as they are from now on, as far as the token may see them."""

    results: Results


class PollClosed(Event, frozen=True, tag="closed"):
    """Nobody can vote any more."""

    poll: Poll


class PollDeleted(Event, frozen=True, tag="deleted"):
    """It is gone; this is the last event."""


PollEvent = PollIs | ResultsAre | PollClosed | PollDeleted
