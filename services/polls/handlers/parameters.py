"""What several routes read beside bodies, and what they have in common to tell of their answers and problems."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from services.polls.payloads.texts import PollId
from shared.contract.scope import Action
from shared.runtime.http.idempotency import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_PATTERN

MAX_PAGE: Final = 100

UNKNOWN: Final = {404: "There is no such poll, or the token does not reach it."}
CHANGED: Final = {412: "The poll is no longer the one that `If-Match` names."}
VOTES: Final = {409: "The edit would drop votes; `dropVotes=true` lets it, and `errors` say how many."}
IN_USE: Final = {409: "A request under this `Idempotency-Key` is still being worked on; see `Retry-After`."}
ETAG: Final = {"ETag": "The poll as it is, for `If-Match` and `If-None-Match`."}


def forbidden(action: Action, *others: Action) -> dict[int, str]:
    """What to tell of 403 where one of the actions is asked for at the poll's place."""
    actions = " or ".join(f"`{each}`" for each in (action, *others))
    return {403: f"The token reaches the poll, and not for {actions}; the challenge names a scope that would."}


class PollPath(Struct, frozen=True):
    """Which poll."""

    id: PollId


class Conditions(Struct, frozen=True):
    """Headers of a request that changes a poll."""

    if_match: Annotated[str | None, Meta(description="do this only to the poll with this ETag", examples=['"1"'])] = (
        msgspec.field(default=None, name="If-Match")
    )


class ReadConditions(Struct, frozen=True):
    """Headers of a request that reads a poll."""

    if_none_match: Annotated[str | None, Meta(description="answer 304 where the poll still has this ETag")] = (
        msgspec.field(default=None, name="If-None-Match")
    )


_KEY: Final = Meta(
    pattern=IDEMPOTENCY_KEY_PATTERN,
    description="of your choice; for a day the same request under it is answered the same and done once",
)


class OnceOnly(Struct, frozen=True):
    """Headers of a request that can be sent again."""

    idempotency_key: Annotated[str, _KEY, Meta(examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"])] | None = (
        msgspec.field(default=None, name=IDEMPOTENCY_KEY)
    )


class BatchOnceOnly(Struct, frozen=True):
    """The same of a batch, with a key of its own as the example: under one key there are no two requests."""

    idempotency_key: Annotated[str, _KEY, Meta(examples=["f1b0c0de-52f6-4d5c-9d5e-0f0a3cf1a7b2"])] | None = (
        msgspec.field(default=None, name=IDEMPOTENCY_KEY)
    )


class Paging(Struct, frozen=True):
    """How much of a list, and from where on."""

    cursor: Annotated[str | None, Meta(description="`next` of the page before")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="how many at most")] = 50


class Expand(Struct, frozen=True):
    """What to show with a poll."""

    expand: Annotated[
        Literal["results"] | None, Meta(description="put the results into the poll, of which the ETag says nothing")
    ] = None


class DropVotes(Struct, frozen=True, rename="camel"):
    """How an edit treats votes."""

    drop_votes: Annotated[bool, Meta(description="let it drop the votes for options that it takes away")] = False
