"""Several changes of polls in one request, and the outcome of each."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct

from services.polls.domain.batch import BatchItem, ItemResult, Op
from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import Closing, PollDeletion, PollEdit, Precondition
from services.polls.domain.errors import InvalidPoll, UnknownPoll
from services.polls.domain.new_poll import NewPoll
from services.polls.payloads.fields import PollId
from services.polls.payloads.parameters import DropVotes
from services.polls.payloads.polls import CreatePoll, PollPayload, WritePoll
from shared.runtime.http.path import read_uuid
from shared.runtime.http.preconditions import read_if_match
from shared.runtime.http.problem import BadRequest, ErrorDetail, InvalidBody, ProblemDocument
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to

MAX_ITEMS: Final = 100

MAX_ID_LENGTH: Final = 64
"""The id of an item is repeated in its outcome, so it is bounded, although one that is no UUID is only unknown."""

ItemId = Annotated[PollId, Meta(max_length=MAX_ID_LENGTH)]
IfMatch = Annotated[str | None, Meta(description="carry this out only if the poll has this ETag", examples=['"3"'])]


class CreateItem(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="create"):
    """Create a poll."""

    poll: CreatePoll

    def to_change(self) -> NewPoll:
        """Return the poll to be created. Raise `InvalidPoll`."""
        return self.poll.to_new_poll()


class UpdateItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="update"):
    """Replace a poll."""

    id: ItemId
    poll: WritePoll
    if_match: IfMatch = None
    drop_votes: DropVotes = False
    allow: Annotated[
        list[Consequence],
        Meta(description="consequences for participants who have voted that the edit may have", max_length=10),
    ] = []

    def to_change(self) -> PollEdit:
        """Return the edit. Raise `UnknownPoll` if the id is not a UUID, or `BadRequest`."""
        return PollEdit(
            poll_id=_to_id(self.id),
            content=self.poll.to_replacement(),
            expected=_to_condition(self.if_match),
            allowed=frozenset([*self.allow, *([Consequence.DROP_VOTES] if self.drop_votes else [])]),
        )


class CloseItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="close"):
    """Close a poll now: its `endDate` becomes the current time. A closed poll is not changed."""

    id: ItemId
    if_match: IfMatch = None

    def to_change(self) -> PollEdit:
        """Return the edit. Raise `UnknownPoll` if the id is not a UUID, or `BadRequest`."""
        return PollEdit(poll_id=_to_id(self.id), content=Closing(), expected=_to_condition(self.if_match))


class DeleteItem(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op", tag="delete"):
    """Delete a poll with all its votes."""

    id: ItemId
    if_match: IfMatch = None

    def to_change(self) -> PollDeletion:
        """Return the deletion. Raise `UnknownPoll` if the id is not a UUID, or `BadRequest`."""
        return PollDeletion(poll_id=_to_id(self.id), expected=_to_condition(self.if_match))


Item = CreateItem | UpdateItem | CloseItem | DeleteItem


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to be made in this order. With `atomic`, either all are made or none is, and each poll is named once."""

    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)]
    atomic: bool = False

    def to_items(self) -> list[BatchItem]:
        """Return the items. One that cannot be read has the error in place of the change.

        Raise `InvalidBody` if a batch that is atomic names a poll twice.
        """
        items = [_to_item(item) for item in self.items]
        if self.atomic:
            _require_distinct_polls(items)
        return items


class Outcome(Struct, frozen=True, omit_defaults=True):
    """The outcome of one item. `status` is the status of the same change in a request of its own.

    The status 424 means that the item was rolled back because another item of the atomic batch failed.
    """

    op: Op
    status: int
    id: PollId | None = None
    etag: Annotated[str | None, Meta(description="the ETag of the poll after the change", examples=['"4"'])] = None
    poll: PollPayload | None = None
    problem: ProblemDocument | None = None

    @classmethod
    def of(cls, item: BatchItem, result: ItemResult) -> "Outcome":
        """Return the outcome of an item that has succeeded."""
        if result.state is None:
            return cls(op=item.op, status=204, id=item.id and str(_to_id(item.id)))
        state = result.state
        payload = PollPayload.of(state, effect=result.effect)
        status = 201 if item.op == "create" else 200
        return cls(op=item.op, status=status, id=str(state.poll.id), etag=state.etag, poll=payload)


class Outcomes(Struct, frozen=True):
    """The outcome of each item, in order. `committed` is false if an atomic batch was rolled back."""

    committed: bool
    items: list[Outcome]


def _require_distinct_polls(items: Sequence[BatchItem]) -> None:
    """Raise `InvalidBody` if two items change the same poll.

    Otherwise the refusal of the second could show what the first has made visible, or left of the ballots, and then the
    batch is rolled back without a trace.
    """
    named: set[UUID] = set()
    errors = []
    for index, item in enumerate(items):
        if isinstance(item.change, PollEdit | PollDeletion):
            if item.change.poll_id in named:
                detail = "an earlier item names this poll; an atomic batch may change each poll once"
                errors.append(ErrorDetail(detail, pointer=pointer_to(["items", str(index), "id"])))
            named.add(item.change.poll_id)
    if errors:
        raise InvalidBody(*errors[:MAX_ERRORS])


def _to_item(item: Item) -> BatchItem:
    poll_id = None if isinstance(item, CreateItem) else item.id
    op: Op = item.__struct_config__.tag  # type: ignore[assignment]
    try:
        return BatchItem(op, poll_id, item.to_change())
    except (InvalidPoll, UnknownPoll, BadRequest) as error:
        return BatchItem(op, poll_id, error)


def _to_id(text: str) -> UUID:
    poll_id = read_uuid(text)
    if poll_id is None:
        raise UnknownPoll
    return poll_id


def _to_condition(text: str | None) -> Precondition | None:
    return None if text is None else read_if_match(text)


EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {"op": "create", "poll": {"template": "stars", "location": {"workspace": "PLAT", "content": "PLAT-1"}}},
        {"op": "create", "poll": {"template": "yes-no", "location": {"workspace": "PLAT", "content": "PLAT-2"}}},
    ]
}
