"""Several changes of polls, made in one transaction."""

from typing import Literal

from msgspec import Struct

from services.polls.domain.edit import Effect, PollDeletion, PollEdit
from services.polls.domain.new_poll import NewPoll
from services.polls.domain.state import PollState

Op = Literal["create", "update", "close", "delete"]


class BatchItem(Struct, frozen=True):
    """One change. `id` is the poll's id as the client wrote it, `None` for a poll to be created.

    `change` is the error instead if the item could not be read; the other items are carried out all the same.
    """

    op: Op
    id: str | None
    change: NewPoll | PollEdit | PollDeletion | Exception


class ItemResult(Struct, frozen=True):
    """The outcome of one item: the poll after the change and the effect on its ballots, or the error.

    A deleted poll has none of them. `is_changed` says whether the item has changed anything.
    """

    state: PollState | None = None
    effect: Effect | None = None
    error: Exception | None = None
    is_changed: bool = False
