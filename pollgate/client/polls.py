"""`PollsClient`: the polls API under `/v1`."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import msgspec

from pollgate.client.arguments import require_etag, text_list
from pollgate.client.encoding import ballot_path, participant_query, poll_path, without_none
from pollgate.client.errors import ClientError, Conflict, NotFound, OutcomeUnknown, if_outcome_unknown
from pollgate.client.events import follow
from pollgate.client.pagination import Page
from pollgate.client.poll_links import LinkMethods
from pollgate.client.poll_models import (
    Ballot,
    BatchOutcome,
    Comment,
    ItemOutcome,
    NewPoll,
    Poll,
    PollEvent,
    PollSettings,
    PollStatus,
    Results,
    StreamTicket,
    Template,
)
from pollgate.client.polls_base import CONDITIONS, EDIT_LIMIT_S
from pollgate.client.problems import item_detail
from pollgate.client.retries import Attempts, with_retries
from pollgate.client.transport import Arguments, Response
from shared.contract.audit import AuditRecord

_SETTING_NAMES: Final = {
    field.encode_name: field.name for field in msgspec.structs.fields(PollSettings) if field.encode_name != field.name
}
_CLOSE: Final = Arguments({"/items/0/id": ("poll_id", None), "/items/0/ifMatch": ("if_match", None)})


class PollsClient(LinkMethods):
    """A client of the polls API. Use it as `async with PollsClient(url, token) as client`.

    `url` is the root of the polls service, such as `http://127.0.0.1:8080`; `token` is an access token (`pgt_…`), which
    is sent in a header, never in a URL. All times are aware datetimes.

    Every method raises a `ClientError` where it fails: `InvalidArgument` before anything is sent, `Unauthorized` and
    `Forbidden` by the token, `RateLimited`, `ConnectionFailed` and `OutcomeUnknown`; others are named where they apply.
    Requests that can be repeated without harm are, up to 5 times within 30 seconds: after 429, a lost response, 502,
    503 and 504. `create_poll` and `batch` are repeated under an Idempotency-Key, so they take effect once.
    """

    def list_polls(
        self,
        limit: int | None = None,
        *,
        workspace: str | None = None,
        content: str | None = None,
        container: str | None = None,
        status: PollStatus | None = None,
        updated_since: datetime | None = None,
        with_results: bool = False,
    ) -> AsyncIterator[Poll]:
        """Yield the polls that meet all conditions, the oldest first, page by page; `limit` of them at most.

        `content` requires `workspace`, and `container` requires both. `updated_since` must be an aware datetime.
        """
        conditions = {
            "workspace": workspace,
            "content": content,
            "container": container,
            "status": status,
            "updatedSince": updated_since,
            "expand": "results" if with_results else None,
        }
        return self._pages("/v1/polls", Page[Poll], conditions, limit)

    async def get_poll(self, poll_id: str, *, with_results: bool = False) -> Poll:
        """Return a poll. Raise `NotFound`."""
        query = {"expand": "results"} if with_results else {}
        return self._decode_poll(await self._send("GET", poll_path(poll_id), query=query, arguments=CONDITIONS))

    async def create_poll(self, poll: NewPoll | Mapping[str, Any]) -> Poll:
        """Create a poll and return it. A mapping has the form of the API's JSON. Raise `UnprocessableContent`."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        with if_outcome_unknown("the poll may have been created"):
            return self._decode_poll(
                await self._send("POST", "/v1/polls", body=poll, headers=headers, arguments=_body("poll", poll))
            )

    async def replace_poll(
        self, poll: Poll, *, if_match: str | None = None, drop_votes: bool = False, allow: Sequence[str] = ()
    ) -> Poll:
        """Write a poll back that was read, with other values, and return it as it is then.

        With `if_match=poll.etag` raise `PreconditionFailed` where it was changed since it was read. Raise `Conflict`
        (`votes-would-be-dropped`) where an option with votes is removed without `drop_votes`, and `Conflict`
        (`promises-would-be-broken`) where the edit breaks another promise to participants who have voted, without its
        flag in `allow`: revealResults, reopen, changeTitle, renameOptions or saveNames.
        """
        body = {name: getattr(poll, name) for name in ("title", "description", "options", "settings")}
        return await self._edit(
            "PUT", poll.id, body, if_match=if_match, drop_votes=drop_votes, allow=allow, arguments=_body("poll", poll)
        )

    async def change_poll(
        self,
        poll_id: str,
        fields: Mapping[str, Any],
        *,
        if_match: str | None = None,
        drop_votes: bool = False,
        allow: Sequence[str] = (),
    ) -> Poll:
        """Change some fields of a poll and return it. `fields` is a JSON merge patch (RFC 7396) in the API's names.

        A list is replaced as a whole, and `None` restores a default. The result's `effect` says which votes were
        dropped. Raise as `replace_poll` does.
        """
        arguments = _body("fields", fields)
        return await self._edit(
            "PATCH", poll_id, fields, if_match=if_match, drop_votes=drop_votes, allow=allow, arguments=arguments
        )

    async def close_poll(self, poll_id: str, *, if_match: str | None = None) -> Poll:
        """Close a poll at this moment, by the service's clock. Raise `NotFound` or `PreconditionFailed`."""
        require_etag(if_match)
        poll_path(poll_id)
        with if_outcome_unknown("the poll may have been closed"):
            made = await self._batch(
                [without_none({"op": "close", "id": poll_id, "ifMatch": if_match})], atomic=False, arguments=_CLOSE
            )
        outcome = made.items[0]
        if outcome.problem is not None or outcome.poll is None:
            raise self._transport.error_of(
                Response(outcome.status, {}, msgspec.json.encode(outcome.problem)), "", _CLOSE
            )
        return msgspec.structs.replace(outcome.poll, etag=outcome.poll.etag or outcome.etag)

    async def delete_poll(self, poll_id: str, *, if_match: str | None = None) -> None:
        """Delete a poll with all its votes, permanently. Raise `NotFound` or `PreconditionFailed`."""
        require_etag(if_match)
        headers = without_none({"If-Match": if_match})
        await self._delete(poll_path(poll_id), "unknown-poll", headers=headers, limit_s=EDIT_LIMIT_S)

    async def batch(self, items: Sequence[Mapping[str, Any]], *, atomic: bool = False) -> BatchOutcome:
        """Make up to 100 changes, each with its own outcome; with `atomic`, all or none, and each poll at most once.

        Items have the form of the API: `{"op": "create", "poll": …}`, `{"op": "update", "id": …, "poll": …}`,
        `{"op": "close", "id": …}` and `{"op": "delete", "id": …}`.
        """
        if isinstance(items, str | bytes | Mapping):
            raise TypeError(f"items must be a list of mappings, not {type(items).__name__}")
        arguments = Arguments({"/items": ("items", items)})
        with if_outcome_unknown("the changes may have been made"):
            outcome = await self._batch(list(items), atomic=atomic, arguments=arguments)
        return msgspec.structs.replace(outcome, items=[_translate_detail(item) for item in outcome.items])

    async def get_results(self, poll_id: str, *, participant: str | None = None) -> Results:
        """Return the results of a poll, as far as the token may see them, or this participant. Raise `NotFound`.

        The caller vouches for the identity of the participant. What is withheld is `None`.
        """
        query = participant_query(participant)
        return self._transport.decode(await self._send("GET", f"{poll_path(poll_id)}/results", query=query), Results)

    async def get_results_csv(self, poll_id: str, *, participant: str | None = None, with_bom: bool = False) -> bytes:
        """Return the results as CSV in UTF-8, one line per option, without anything that a spreadsheet evaluates.

        `with_bom` begins it with a byte order mark, by which Excel recognizes UTF-8.
        """
        query = participant_query(participant) | ({"bom": "true"} if with_bom else {})
        headers = {"Accept": "text/csv"}
        return (await self._send("GET", f"{poll_path(poll_id)}/results", query=query, headers=headers)).content

    async def cast_ballot(
        self,
        poll_id: str,
        participant: str,
        option_ids: Sequence[str],
        *,
        name: str | None = None,
        comment: str | None = None,
    ) -> Ballot:
        """Vote as a participant, or replace an earlier ballot if the poll allows it. The caller vouches for the id.

        Raise `Conflict` where the poll is closed (`poll-closed`) or takes no second ballot (`already-voted`), and
        `UnprocessableContent` where the poll does not take these options. After a lost response the request is sent
        again; if the participant has voted by then, with the same ballot, that ballot is returned. If the poll does not
        reveal which ballot it has, `OutcomeUnknown` is raised.
        """
        ballot = Ballot(participant, text_list("option_ids", option_ids), name, comment)
        path = ballot_path(poll_id, participant)
        body = without_none({"optionIds": ballot.option_ids, "name": name, "comment": comment})
        attempts = Attempts(lambda: self._transport.send("PUT", path, body=body))
        try:
            with if_outcome_unknown("the ballot may have been cast"):
                response = await with_retries(attempts)
        except Conflict as error:
            kept = await self._find_ballot(poll_id, participant) if attempts.outcome_unknown else None
            if kept is not None and kept.option_ids is None:
                raise _secret_ballot(error) from None
            if kept is None or not _is_same(kept, ballot):
                raise
            return kept
        return self._transport.decode(response, Ballot)

    async def get_ballot(self, poll_id: str, participant: str) -> Ballot:
        """Return a participant's ballot. Without names in it, it says only that there is one. Raise `NotFound`."""
        return self._transport.decode(await self._send("GET", ballot_path(poll_id, participant)), Ballot)

    async def withdraw_ballot(self, poll_id: str, participant: str) -> None:
        """Remove a participant's ballot; where the poll takes no second ballot, the participant cannot vote again.

        Raise `NotFound`, or `Conflict` where the poll is closed.
        """
        await self._delete(ballot_path(poll_id, participant), "unknown-ballot")

    def list_ballots(self, poll_id: str, limit: int | None = None) -> AsyncIterator[Ballot]:
        """Yield the ballots of a poll that keeps names, ordered by participant, page by page; `limit` at most.

        Raise `Conflict` (`names-not-kept`) for a poll that does not.
        """
        return self._pages(f"{poll_path(poll_id)}/votes", Page[Ballot], {}, limit)

    def list_comments(self, poll_id: str, limit: int | None = None) -> AsyncIterator[Comment]:
        """Yield the comments of a poll without their participants, in no particular order, page by page.

        `limit` of them at most. The token needs the action `results`. Raise `NotFound`.
        """
        return self._pages(f"{poll_path(poll_id)}/comments", Page[Comment], {}, limit)

    def list_audit_records(self, poll_id: str, limit: int | None = None) -> AsyncIterator[AuditRecord]:
        """Yield the audit trail of a poll, the oldest record first, also after its deletion; `limit` at most.

        The token needs the action `update` at the place of the poll. Raise `NotFound`.
        """
        return self._pages(f"{poll_path(poll_id)}/audit", Page[AuditRecord], {}, limit)

    async def list_templates(self) -> list[Template]:
        """Return the templates that a new poll can be created from."""
        return self._transport.decode(await self._send("GET", "/v1/templates"), Page[Template]).items

    async def stream_events(self, poll_id: str) -> AsyncGenerator[PollEvent, None]:
        """Yield the state of a poll and of its results now, and after each change, until `PollDeleted`.

        A lost connection is opened again, and continues with the latest state. Raise `RequestRejected` when the token
        is revoked or the poll is no longer found, and `ConnectionFailed` or `OutcomeUnknown` where the first connection
        fails, or the service does not respond for 60 seconds. Close the generator to end the stream early.
        """
        async with aclosing(follow(self._transport, f"{poll_path(poll_id)}/events")) as events:
            async for event in events:
                yield event

    async def create_stream_ticket(self, poll_id: str) -> StreamTicket:
        """Return a ticket with which a page opens the events of a poll once, without seeing the token."""
        return self._transport.decode(await self._send("POST", f"{poll_path(poll_id)}/events/tickets"), StreamTicket)

    async def _batch(self, items: list[Mapping[str, Any]], *, atomic: bool, arguments: Arguments) -> BatchOutcome:
        headers, body = {"Idempotency-Key": secrets.token_hex(16)}, {"items": items, "atomic": atomic}
        response = await self._send(
            "POST", "/v1/polls:batch", body=body, headers=headers, limit_s=EDIT_LIMIT_S, arguments=arguments
        )
        return self._transport.decode(response, BatchOutcome)

    async def _edit(
        self,
        method: str,
        poll_id: str,
        body: Any,
        *,
        if_match: str | None,
        drop_votes: bool,
        allow: Sequence[str],
        arguments: Arguments,
    ) -> Poll:
        require_etag(if_match)
        flags = ",".join(text_list("allow", allow))
        query = without_none({"dropVotes": "true" if drop_votes else None, "allow": flags or None})
        headers = without_none({"If-Match": if_match})
        path = poll_path(poll_id)

        async def send() -> Response:
            return await self._transport.send(
                method, path, query=query, body=body, headers=headers, limit_s=EDIT_LIMIT_S, arguments=arguments
            )

        with if_outcome_unknown("the poll may have been changed"):
            return self._decode_poll(await with_retries(send, repeat_unknown=False))

    async def _delete(self, path: str, type_if_gone: str, **options: Any) -> None:
        """Delete a resource; that it is gone is no error after a lost response."""
        attempts = Attempts(lambda: self._transport.send("DELETE", path, **options))
        try:
            with if_outcome_unknown("it may have been deleted", is_repeatable=True):
                await with_retries(attempts)
        except NotFound as error:
            if not (attempts.outcome_unknown and error.type == type_if_gone):
                raise

    async def _find_ballot(self, poll_id: str, participant: str) -> Ballot | None:
        try:
            return await self.get_ballot(poll_id, participant)
        except ClientError:
            return None

    def _decode_poll(self, response: Response) -> Poll:
        poll = self._transport.decode(response, Poll)
        return msgspec.structs.replace(poll, etag=poll.etag or response.headers.get("ETag"))


def _body(argument: str, value: Any) -> Arguments:
    """Return how errors name parts of a body: as attributes of a `Struct`, and as keys of a mapping."""
    return Arguments({"": (argument, value)}, _SETTING_NAMES if isinstance(value, msgspec.Struct) else {})


def _translate_detail(item: ItemOutcome) -> ItemOutcome:
    problem = item.problem
    if problem is None:
        return item
    detail = item_detail(problem.type, problem.detail)
    return msgspec.structs.replace(item, problem=msgspec.structs.replace(problem, detail=detail))


def _is_same(kept: Ballot, sent: Ballot) -> bool:
    """Return whether a ballot that was stored with names is the one that was sent."""
    chosen = set(kept.option_ids or ()) == set(sent.option_ids or ())
    return chosen and kept.comment == sent.comment and kept.name in (None, sent.name)


def _secret_ballot(conflict: Conflict) -> OutcomeUnknown:
    """Return the error for a lost response to a secret ballot, which cannot be compared with the stored one."""
    message = "the response to the ballot was lost, and the poll does not reveal which ballot it has"
    error = OutcomeUnknown(message, service=conflict.service, url=conflict.url)
    error.consequence, error.is_repeatable = "the participant has voted, with this ballot or with an earlier one", False
    return error
