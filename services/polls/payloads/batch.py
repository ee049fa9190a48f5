"""Several changes of polls in one request, and what became of each."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from services.polls.payloads.polls import CreatePoll, PollPayload, WritePoll
from services.polls.payloads.texts import PollId
from shared.runtime.http.problem import ProblemDocument

MAX_ITEMS: Final = 100

IfMatch = Annotated[str | None, Meta(description="do this only to the poll with this ETag", examples=['"3"'])]


class CreateItem(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="create"):
    """Make a poll."""

    poll: CreatePoll


class UpdateItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="update"):
    """Replace a poll."""

    id: PollId
    poll: WritePoll
    if_match: IfMatch = None
    drop_votes: bool = False


class CloseItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="close"):
    """Close a poll now: its `endDate` becomes this moment. One that is closed stays as it is."""

    id: PollId
    if_match: IfMatch = None


class DeleteItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="delete"):
    """Remove a poll with all its votes."""

    id: PollId
    if_match: IfMatch = None


Op = Literal["create", "update", "close", "delete"]
Item = CreateItem | UpdateItem | CloseItem | DeleteItem


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to be made in this order. With `atomic` all are made or none."""

    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)]
    atomic: bool = False


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of one item. `status` is what a request of its own would be answered with; 424 says that it was not
    made because another one failed.
    """

    op: Op
    status: int
    id: PollId | None = None
    etag: Annotated[str | None, Meta(description="of the poll as it is now", examples=['"4"'])] = None
    poll: PollPayload | None = None
    problem: ProblemDocument | None = None


class Outcomes(Struct, frozen=True):
    """What became of each item, in the order of the request; `committed` is false where `atomic` has undone all."""

    committed: bool
    items: list[Outcome]


EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {"op": "create", "poll": {"template": "stars", "location": {"workspace": "PLAT", "content": "PLAT-1"}}},
        {"op": "create", "poll": {"template": "yes-no", "location": {"workspace": "PLAT", "content": "PLAT-2"}}},
    ]
}
