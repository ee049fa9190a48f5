"""The path, query and header parameters of `/v1`."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from services.polls.domain.consequence import Consequence
from services.polls.domain.poll import Status
from services.polls.payloads.fields import LinkId, Participant, PollId
from shared.runtime.http.idempotency import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_PATTERN
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.text.times import describe_times, time_schema

MAX_PAGE: Final = 100


class PollPath(Struct, frozen=True):
    """A poll."""

    id: PollId


class BallotPath(Struct, frozen=True):
    """A participant of a poll."""

    id: PollId
    participant: Participant


class LinkPath(Struct, frozen=True):
    """A voting link of a poll."""

    id: PollId
    link: LinkId


class EditHeaders(Struct, frozen=True):
    """A precondition of an edit."""

    if_match: Annotated[
        str | None, Meta(description="carry this out only if the poll has this ETag", examples=['"1"'])
    ] = field(default=None, name="If-Match")


class ReadHeaders(Struct, frozen=True):
    """A precondition of a read."""

    if_none_match: Annotated[str | None, Meta(description="return 304 if the poll still has this ETag")] = field(
        default=None, name="If-None-Match"
    )


class ResumeHeaders(Struct, frozen=True):
    """Where a client continues a stream."""

    last_event_id: Annotated[
        str | None, Meta(description="the id of the last event received; what has changed since is sent at once")
    ] = field(default=None, name="Last-Event-ID")


_KEY: Final = Meta(
    pattern=IDEMPOTENCY_KEY_PATTERN,
    description="a key of your choice; within a day, the same request with it is carried out once and gets the same "
    "response",
)


class CreateHeaders(Struct, frozen=True):
    """The key of a request that can be repeated safely."""

    idempotency_key: Annotated[str, _KEY, Meta(examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"])] | None = field(
        default=None, name=IDEMPOTENCY_KEY
    )


class BatchHeaders(Struct, frozen=True):
    """The key of a batch that can be repeated safely. The example differs because a key stands for one request."""

    idempotency_key: Annotated[str, _KEY, Meta(examples=["f1b0c0de-52f6-4d5c-9d5e-0f0a3cf1a7b2"])] | None = field(
        default=None, name=IDEMPOTENCY_KEY
    )


Cursor = Annotated[str, Meta(description="`next` of the previous page")]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="the maximum number of items")]
DEFAULT_LIMIT: Final = 50


class Paging(Struct, frozen=True):
    """A page of a list."""

    cursor: Cursor | None = None
    limit: Limit = DEFAULT_LIMIT


class ListPolls(Paging, frozen=True, rename="camel"):
    """The conditions of a list of polls; a poll has to meet all of them."""

    workspace: (
        Annotated[str, Meta(min_length=1, description="polls in this project or space", examples=["PLAT"])] | None
    ) = None
    content: (
        Annotated[
            str,
            Meta(min_length=1, description="polls on this issue or page; needs `workspace`", examples=["PLAT-1"]),
        ]
        | None
    ) = None
    container: Annotated[str, Meta(min_length=1, description="polls in this macro; needs `content`")] | None = None
    status: Annotated[Status | None, Meta(description="polls that are now open, or closed", examples=["open"])] = None
    updated_since: (
        Annotated[
            str,
            Meta(
                description=f"polls created or edited at or after this time: {describe_times('first')}",
                examples=["2026-11-23T10:00:00Z"],
                extra_json_schema=time_schema(),
            ),
        ]
        | None
    ) = None
    expand: Annotated[Literal["results"] | None, Meta(description="include the results in each poll")] = None


class ShowPoll(Struct, frozen=True):
    """What to include with a poll."""

    expand: Annotated[
        Literal["results"] | None, Meta(description="include the results in the poll; the ETag does not cover them")
    ] = None


Allow = Annotated[
    str,
    Meta(
        description="consequences for participants who have voted that the edit may have, separated by commas: "
        + ", ".join(f"`{each}`" for each in Consequence),
        extra_json_schema={"pattern": f"^(({'|'.join(Consequence)})(,({'|'.join(Consequence)}))*)?$"},
    ),
]
DropVotes = Annotated[bool, Meta(description="the same as `allow=dropVotes`")]


class EditPoll(Struct, frozen=True, rename="camel"):
    """What an edit may do to ballots, and to the promises under which they were cast."""

    drop_votes: DropVotes = False
    allow: Allow = ""

    def to_allowed(self) -> frozenset[Consequence]:
        """Return the consequences that the edit may have. Raise `BadRequest`."""
        return read_allowed(self.allow, drop_votes=self.drop_votes)


def read_allowed(allow: str, *, drop_votes: bool) -> frozenset[Consequence]:
    """Return the consequences in the parameters `allow` and `dropVotes`. Raise `BadRequest`."""
    try:
        allowed = {Consequence(name) for name in allow.split(",")} if allow else set()
    except ValueError:
        expected = f"expected one or more of these, separated by commas: {', '.join(Consequence)}"
        raise BadRequest("Invalid query parameters: 'allow'.", ErrorDetail(expected, parameter="allow")) from None
    return frozenset(allowed | ({Consequence.DROP_VOTES} if drop_votes else set()))


class ShowResults(Struct, frozen=True):
    """The participant who asks for results, and their format."""

    participant: Annotated[
        str | None,
        Meta(
            description="show results with the visibility `afterVote` if this participant has voted; the token also "
            "needs the action `vote`",
            examples=["ada"],
        ),
    ] = None
    format: Annotated[
        Literal["json", "csv"] | None, Meta(description="the format; by default as the header `Accept` says")
    ] = None
    bom: Annotated[bool, Meta(description="begin CSV with a byte order mark, by which Excel recognizes UTF-8")] = False
