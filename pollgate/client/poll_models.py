"""Polls, ballots and results as Python values. Where something is withheld, the value is `None`."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

PollStatus = Literal["open", "closed"]


class Location(Struct, frozen=True):
    """The place of a poll: a Jira project key and issue key, or a Confluence space id, page id and macro id."""

    workspace: str
    content: str
    container: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.workspace, self.content, self.container)))


class Option(Struct, frozen=True, omit_defaults=True):
    """An option of a poll. `order` is its position, by default its place in the list."""

    id: str
    title: str
    order: int | None = None


class PollSettings(Struct, frozen=True, rename="camel"):
    """The settings of a poll.

    `results_visibility` is alwaysPublic, afterVote, afterClose or never. `end_date` is empty, a date (the last moment
    of that day in UTC), or a date and time in RFC 3339's format; it is read in other formats too.
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
    """A poll to create. `None` takes the template's value; without a template, `title` and `options` are required."""

    location: Location
    template: str | None = None
    title: str | None = None
    options: list[Option] | None = None
    description: str | None = None
    settings: PollSettings | None = None


class OptionResult(Struct, frozen=True, rename="camel"):
    """The result of one option: its share of all votes (`percentage`) and of the participants, both from 0 to 100."""

    id: str
    title: str
    order: int
    votes: int | None
    percentage: float | None
    participant_percentage: float | None
    rank: int | None


class Results(Struct, frozen=True, rename="camel"):
    """The results of a poll; `final` once it is closed. `average` is there for the options of a scored template.

    `withheld_reason` is the setting that withholds the results (afterVote, afterClose or never), or only the numbers
    of votes (hideAbsoluteNumbers); `None` where nothing is withheld.
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


class EditEffect(Struct, frozen=True, rename="camel"):
    """The effect of an edit on votes: what it dropped, and how many ballots lost their participant's name.

    `consequences` are the flags that had to be allowed because participants had voted.
    """

    dropped_options: list[str]
    dropped_votes: int
    dropped_ballots: int
    anonymized_ballots: int
    consequences: list[str] = []


class ChangeAfterVotes(Struct, frozen=True):
    """A change that broke a promise to participants who had voted: a flag of `allow`, and when an edit last made it."""

    consequence: str
    at: datetime


class Poll(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A poll. `etag` is its version, for `if_match`; `results` are there if they were requested, and `effect` after an
    edit.
    """

    id: str
    title: str
    description: str
    options: list[Option]
    settings: PollSettings
    location: Location
    status: str
    created_at: datetime
    updated_at: datetime
    etag: str | None = None
    changed_after_votes: list[ChangeAfterVotes] = []
    results: Results | None = None
    effect: EditEffect | None = None


class Ballot(Struct, frozen=True, rename="camel"):
    """The choice of one participant. `name` and `cast_at` are `None` where the poll does not keep names.

    Such a ballot is secret once it is cast: when it is read, `option_ids` and `comment` are `None` too.
    """

    participant: str
    option_ids: list[str] | None
    name: str | None = None
    comment: str | None = None
    cast_at: datetime | None = None


class Comment(Struct, frozen=True):
    """A comment without its participant, and how many ballots have it."""

    comment: str
    ballots: int


class StreamTicket(Struct, frozen=True, rename="camel"):
    """A ticket for the events of one poll, sent as `?ticket=…`. It works once, within `expires_in` seconds."""

    ticket: str
    expires_in: int


class Template(Struct, frozen=True):
    """A template for new polls. Where it is `scored`, results have an average."""

    id: str
    name: str
    title: str
    description: str
    options: list[Option]
    settings: PollSettings
    scored: bool


class ItemProblem(Struct, frozen=True):
    """Why an item of a batch failed (RFC 9457); `errors` have a `detail` and a `pointer` into the request's body."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = []


class ItemOutcome(Struct, frozen=True, omit_defaults=True):
    """The outcome of one item of a batch; `status` is the status that a separate request would have had."""

    op: str
    status: int
    id: str | None = None
    etag: str | None = None
    poll: Poll | None = None
    problem: ItemProblem | None = None


class BatchOutcome(Struct, frozen=True):
    """The outcome of each item, in the order of the request. Nothing was changed unless `committed`."""

    committed: bool
    items: list[ItemOutcome]


class Event(Struct, frozen=True, tag_field="event"):
    """An event of a poll."""


class PollUpdate(Event, frozen=True, tag="poll"):
    """The state of the poll: when the stream begins, and after each edit."""

    poll: Poll


class ResultsUpdate(Event, frozen=True, tag="results"):
    """The results, as far as the token may see them: when the stream begins, and after each change."""

    results: Results


class PollClosed(Event, frozen=True, tag="closed"):
    """The poll was closed and takes no more votes."""

    poll: Poll


class PollDeleted(Event, frozen=True, tag="deleted"):
    """The poll was deleted; this is the last event."""


PollEvent = PollUpdate | ResultsUpdate | PollClosed | PollDeleted
