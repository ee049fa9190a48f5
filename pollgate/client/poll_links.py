"""The methods of `PollsClient` that concern voting links."""

import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pollgate.client.arguments import require_aware_times, require_participant, require_utf8
from pollgate.client.encoding import path_segment, poll_path, query_of, without_none
from pollgate.client.errors import InvalidArgument, if_outcome_unknown
from pollgate.client.link_models import Invitation, Link, LinkKind, LinkStatus, NewLink, RevokedLinks
from pollgate.client.pagination import Page
from pollgate.client.polls_base import EDIT_LIMIT_S, PollsBase
from pollgate.client.retries import with_retries
from pollgate.client.transport import Arguments, Response

MAX_BATCH: Final = 1_000
MAX_BATCH_BYTES: Final = 240_000
"""The service takes bodies of 256 KiB."""

_WORDS: Final = {"or null for": "or None for"}
_LINK: Final = Arguments(words=_WORDS)

T = TypeVar("T")


class LinkMethods(PollsBase):
    """Create, find and revoke voting links, by which people vote on a page, without a token.

    These methods need the action `vote` at the place of the poll.
    """

    async def create_shared_link(
        self,
        poll_id: str,
        *,
        label: str | None = None,
        max_participants: int | None = None,
        max_per_address: int | UnsetType | None = UNSET,
        expires_at: datetime | None = None,
    ) -> NewLink:
        """Create a link for everyone who gets to know it, and return it with its address, which is not shown again.

        Each browser is a participant. `max_participants` limits how many vote by the link, and `max_per_address` how
        many of them from one address: 100 by default; `None` is no limit. `label` says where the link is published.
        Raise `UnprocessableContent`, or `Conflict` (`too-many-links`).
        """
        body = without_none({"label": label, "maxParticipants": max_participants, "expiresAt": expires_at})
        if max_per_address is not UNSET:
            body["maxPerAddress"] = max_per_address
        return await self._create_link(poll_id, {"kind": "shared", **body})

    async def create_personal_link(
        self, poll_id: str, participant: str, *, name: str | None = None, expires_at: datetime | None = None
    ) -> NewLink:
        """Create a link for one participant, and return it with its address, which is not shown again.

        A participant who has several links has one ballot. Raise as `create_shared_link` does.
        """
        require_participant(participant)
        body = {"kind": "personal", "participant": participant, "name": name, "expiresAt": expires_at}
        return await self._create_link(poll_id, without_none(body))

    def create_personal_links(
        self,
        poll_id: str,
        participants: Iterable[Invitation | str],
        *,
        expires_at: datetime | None = None,
    ) -> AsyncIterator[NewLink]:
        """Create a link for each participant, in batches of 1,000, and yield them in this order; a `str` is an id.

        Their addresses are not shown again. A batch is created when its first link is requested, so iterate to the
        end: `[link async for link in client.create_personal_links(…)]`. An error concerns the participants after those
        whose links were yielded. Raise `InvalidArgument` before anything is sent if a participant occurs twice.
        """
        invitations = _invitations(participants)
        require_aware_times({"expiresAt": expires_at})
        return self._create_batches(f"{poll_path(poll_id)}/links:batch", invitations, expires_at)

    def list_links(
        self,
        poll_id: str,
        limit: int | None = None,
        *,
        kind: LinkKind | None = None,
        status: LinkStatus | None = None,
        participant: str | None = None,
        created_by: str | None = None,
    ) -> AsyncIterator[Link]:
        """Yield the links of a poll that meet all conditions, the oldest first, page by page; `limit` at most.

        `created_by` is the id of the token that has created them. Links that have ended are included.
        """
        conditions = {**_conditions(kind, participant, created_by), "status": status}
        return self._pages(f"{poll_path(poll_id)}/links", Page[Link], conditions, limit)

    async def get_link(self, poll_id: str, link_id: str) -> Link:
        """Return a link. Raise `NotFound`."""
        return self._transport.decode(await self._send("GET", _link_path(poll_id, link_id)), Link)

    async def revoke_link(self, poll_id: str, link_id: str) -> None:
        """Revoke a link permanently; ballots that were cast by it stay. Repeating the call is harmless.

        Raise `NotFound`.
        """
        with if_outcome_unknown("the link may have been revoked", is_repeatable=True):
            await self._send("DELETE", _link_path(poll_id, link_id))

    async def revoke_links(
        self,
        poll_id: str,
        *,
        kind: LinkKind | None = None,
        participant: str | None = None,
        created_by: str | None = None,
    ) -> int:
        """Revoke the links of a poll that meet all conditions permanently, and return how many of them were active.

        Without a condition, revoke every link. Ballots that were cast by them stay. After a lost response nothing is
        sent again, because the number would be wrong; repeating the call is harmless.
        """
        path, query = f"{poll_path(poll_id)}/links", query_of(_conditions(kind, participant, created_by))

        async def send() -> Response:
            return await self._transport.send("DELETE", path, query=query, limit_s=EDIT_LIMIT_S, has_content=True)

        with if_outcome_unknown("the links may have been revoked", is_repeatable=True):
            response = await with_retries(send, repeat_unknown=False)
        return self._transport.decode(response, RevokedLinks).revoked

    async def _create_link(self, poll_id: str, body: Mapping[str, Any]) -> NewLink:
        path = f"{poll_path(poll_id)}/links"
        with if_outcome_unknown("a link may have been created, with an address that is lost"):
            return await self._create_links(path, body, NewLink, _LINK)

    async def _create_batches(
        self, path: str, invitations: Sequence[Invitation], expires_at: datetime | None
    ) -> AsyncGenerator[NewLink, None]:
        first = 0
        for batch in _batches(invitations):
            body = without_none({"participants": batch, "expiresAt": expires_at})
            arguments = Arguments(_paths(batch, first), _WORDS)
            with if_outcome_unknown(f"up to {len(batch):,} links may have been created, with addresses that are lost"):
                page = await self._create_links(path, body, Page[NewLink], arguments)
            for link in page.items:
                yield link
            first += len(batch)

    async def _create_links(self, path: str, body: Mapping[str, Any], kind: type[T], arguments: Arguments) -> T:
        """Send a request that is not repeated after a lost response, which would create further links."""

        async def send() -> Response:
            return await self._transport.send("POST", path, body=body, arguments=arguments)

        return self._transport.decode(await with_retries(send, repeat_unknown=False), kind)


def _link_path(poll_id: str, link_id: str) -> str:
    return f"{poll_path(poll_id)}/links/{path_segment('link_id', link_id)}"


def _conditions(kind: LinkKind | None, participant: str | None, created_by: str | None) -> dict[str, Any]:
    if participant is not None:
        require_participant(participant)
    return {"kind": kind, "participant": participant, "createdBy": created_by}


def _invitations(participants: Iterable[Invitation | str]) -> list[Invitation]:
    """Return the invitations. Raise `InvalidArgument` for a participant who cannot be sent, or occurs twice.

    The service compares the participants of one batch only. Raise `TypeError` for one `str` in place of a list.
    """
    if isinstance(participants, str | bytes):
        raise TypeError(f"participants must be a list, not {type(participants).__name__}: write [participant]")
    invitations = [Invitation(each) if isinstance(each, str) else each for each in participants]
    first: dict[str, int] = {}
    for index, each in enumerate(invitations):
        argument = f"participants[{index}]"
        if not isinstance(each, Invitation):
            raise TypeError(f"participants must be a list of Invitation or str, and contains {type(each).__name__}")
        require_participant(each.participant, f"{argument}.participant")
        require_utf8(f"{argument}.name", each.name or "")
        before = first.setdefault(unicodedata.normalize("NFC", each.participant), index)
        if before != index:
            raise InvalidArgument(argument, f"this is the participant of participants[{before}]; each gets one link")
    return invitations


def _batches(invitations: Sequence[Invitation]) -> Iterator[list[Invitation]]:
    """Yield the invitations in batches that the service takes."""
    batch: list[Invitation] = []
    size = 0
    for each in invitations:
        bytes_of_each = len(msgspec.json.encode(each)) + 1
        if len(batch) == MAX_BATCH or (batch and size + bytes_of_each > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += bytes_of_each
    if batch:
        yield batch


def _paths(batch: Sequence[Invitation], first: int) -> dict[str, tuple[str, Any]]:
    """Return how errors name the participants of a batch, whose first one is `participants[first]`."""
    return {f"/participants/{index}": (f"participants[{first + index}]", each) for index, each in enumerate(batch)}
